"""Qt 5 or 6, whichever this Krita is built with."""

try:
    from PyQt5 import sip
    from PyQt5.QtCore import QEvent, QPoint, Qt, QTimer, QUuid
    from PyQt5.QtGui import QKeyEvent
    from PyQt5.QtWidgets import (
        QComboBox,
        QDialog,
        QDialogButtonBox,
        QFileDialog,
        QFormLayout,
        QHBoxLayout,
        QLabel,
        QLineEdit,
        QMainWindow,
        QMessageBox,
        QProgressDialog,
        QPushButton,
        QToolButton,
        QWidget,
    )
except ImportError:  # Krita 6
    from PyQt6 import sip
    from PyQt6.QtCore import QEvent, QPoint, Qt, QTimer, QUuid
    from PyQt6.QtGui import QKeyEvent
    from PyQt6.QtWidgets import (
        QComboBox,
        QDialog,
        QDialogButtonBox,
        QFileDialog,
        QFormLayout,
        QHBoxLayout,
        QLabel,
        QLineEdit,
        QMainWindow,
        QMessageBox,
        QProgressDialog,
        QPushButton,
        QToolButton,
        QWidget,
    )

__all__ = [
    "QComboBox",
    "QDialog",
    "QDialogButtonBox",
    "QEvent",
    "QFileDialog",
    "QFormLayout",
    "QHBoxLayout",
    "QKeyEvent",
    "QLabel",
    "QLineEdit",
    "QMainWindow",
    "QMessageBox",
    "QPoint",
    "QProgressDialog",
    "QPushButton",
    "QTimer",
    "QToolButton",
    "QUuid",
    "QWidget",
    "Qt",
    "sip",
]

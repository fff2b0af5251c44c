"""Qt 5 or 6, whichever this Krita is built with."""

try:
    from PyQt5 import sip
    from PyQt5.QtCore import Qt, QTimer, QUuid
    from PyQt5.QtWidgets import (
        QComboBox,
        QDialog,
        QDialogButtonBox,
        QFileDialog,
        QFormLayout,
        QHBoxLayout,
        QLabel,
        QLineEdit,
        QMessageBox,
        QProgressDialog,
        QToolButton,
        QWidget,
    )
except ImportError:  # Krita 6
    from PyQt6 import sip
    from PyQt6.QtCore import Qt, QTimer, QUuid
    from PyQt6.QtWidgets import (
        QComboBox,
        QDialog,
        QDialogButtonBox,
        QFileDialog,
        QFormLayout,
        QHBoxLayout,
        QLabel,
        QLineEdit,
        QMessageBox,
        QProgressDialog,
        QToolButton,
        QWidget,
    )

__all__ = [
    "QComboBox",
    "QDialog",
    "QDialogButtonBox",
    "QFileDialog",
    "QFormLayout",
    "QHBoxLayout",
    "QLabel",
    "QLineEdit",
    "QMessageBox",
    "QProgressDialog",
    "QTimer",
    "QToolButton",
    "QUuid",
    "QWidget",
    "Qt",
    "sip",
]

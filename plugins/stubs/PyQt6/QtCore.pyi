from PyQt5.QtCore import QEvent as QEvent
from PyQt5.QtCore import QPoint as QPoint
from PyQt5.QtCore import QSize as QSize
from PyQt5.QtCore import Qt as Qt
from PyQt5.QtCore import QTimer as QTimer
from PyQt5.QtCore import QUuid as QUuid

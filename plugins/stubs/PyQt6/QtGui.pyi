from PyQt5.QtGui import QKeyEvent as QKeyEvent

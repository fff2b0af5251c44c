from PyQt5.QtGui import QIcon as QIcon
from PyQt5.QtGui import QImage as QImage
from PyQt5.QtGui import QKeyEvent as QKeyEvent
from PyQt5.QtGui import QPixmap as QPixmap

from collections.abc import Callable
from enum import Enum, Flag

class pyqtBoundSignal:
    def connect(self, slot: Callable[..., object]) -> object: ...
    def disconnect(self, slot: Callable[..., object]) -> None: ...

class QObject:
    def __init__(self, parent: QObject | None = None) -> None: ...
    def deleteLater(self) -> None: ...

class QEvent:
    class Type(Enum):
        KeyPress = 6

    def accept(self) -> None: ...
    def type(self) -> QEvent.Type: ...

class QSize:
    def __init__(self, width: int, height: int) -> None: ...
    def width(self) -> int: ...

class QTimer(QObject):
    timeout: pyqtBoundSignal
    def setSingleShot(self, on: bool) -> None: ...
    @staticmethod
    def singleShot(milliseconds: int, slot: Callable[[], object]) -> None: ...
    def start(self, milliseconds: int) -> None: ...
    def stop(self) -> None: ...

class QUuid:
    def toString(self) -> str: ...

class QPoint:
    def __init__(self, x: int, y: int) -> None: ...

class QRect:
    def left(self) -> int: ...
    def bottom(self) -> int: ...
    def x(self) -> int: ...
    def y(self) -> int: ...
    def width(self) -> int: ...
    def height(self) -> int: ...

class Qt:
    class WindowModality(Enum):
        NonModal = 0

    class WindowType(Flag):
        Tool = 11
        WindowTitleHint = 4096
        CustomizeWindowHint = 33554432

    class FocusPolicy(Enum):
        NoFocus = 0

    class WidgetAttribute(Enum):
        WA_DeleteOnClose = 55
        WA_QuitOnClose = 76
        WA_ShowWithoutActivating = 98

    class Orientation(Enum):
        Horizontal = 1

    class AlignmentFlag(Flag):
        AlignRight = 2
        AlignCenter = 132
        AlignVCenter = 128

    class ScrollBarPolicy(Enum):
        ScrollBarAlwaysOff = 1

    class AspectRatioMode(Enum):
        IgnoreAspectRatio = 0
        KeepAspectRatio = 1

    class TransformationMode(Enum):
        SmoothTransformation = 1

    class ToolButtonStyle(Enum):
        ToolButtonTextUnderIcon = 3

    class Key(Enum):
        Key_Escape = 0x01000000

    class ItemDataRole(Enum):
        ToolTipRole = 3

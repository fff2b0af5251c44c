"""The docker's parts: pictures before and after, corrections to choose from, sliders."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from glihamba_client.preview import PARTS
from glihamba_client.texts import Offered, proposal

from .labels import WORDS
from .qt import (
    QButtonGroup,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QIcon,
    QImage,
    QLabel,
    QPixmap,
    QSize,
    QSlider,
    Qt,
    QToolButton,
    QWidget,
)
from .texts import text

PICTURE, SMALL = 112, 56  # pixels on the screen
PERCENT = 100
STRENGTH = (0, 150)  # percent
AMOUNT = (-100, 200)


def fill(box: QComboBox, choices: list[Offered], chosen: str) -> None:
    """Offer the models, each with what it is as its tooltip, and choose one."""
    box.clear()
    for index, each in enumerate(choices):
        box.addItem(each.title, each.name)
        box.setItemData(index, each.about, Qt.ItemDataRole.ToolTipRole)
    box.setCurrentIndex(max(0, box.findData(chosen)))


def result_box(chosen: str, language: str) -> QComboBox:
    """The choice of what a job adds."""
    box = QComboBox()
    for name, tip in (("pixels", "pixels tip"), ("curves", "curves tip")):
        box.addItem(text(name, language), name)
        box.setItemData(box.count() - 1, text(tip, language), Qt.ItemDataRole.ToolTipRole)
    box.setCurrentIndex(box.findData(chosen))
    return box


def scene_box(language: str) -> QComboBox:
    """The choice of the layers that count as the scene, by their colour label."""
    box = QComboBox()
    for label, words in WORDS.items():
        box.addItem(text(words, language), label)
    box.setToolTip(text("scene tip", language))
    return box


def fitting(image: QImage, side: int) -> QPixmap:
    """The image as large as a square of that side takes."""
    return QPixmap.fromImage(image).scaled(
        side, side, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    )


class Pictures(QWidget):
    """The object in its scene before and after, side by side."""

    def __init__(self, language: str) -> None:
        super().__init__()
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.before, self.after = QLabel(), QLabel()
        for column, (label, words) in enumerate(((self.before, "before"), (self.after, "after"))):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            label.setMinimumSize(PICTURE, PICTURE)
            label.setStyleSheet("background: palette(dark)")
            layout.addWidget(label, 0, column)
            caption = QLabel(text(words, language))
            caption.setAlignment(Qt.AlignmentFlag.AlignCenter)
            layout.addWidget(caption, 1, column)

    def show_before(self, image: QImage) -> None:
        self.before.setPixmap(fitting(image, PICTURE))

    def show_after(self, image: QImage) -> None:
        self.after.setPixmap(fitting(image, PICTURE))

    def clear(self) -> None:
        for label in (self.before, self.after):
            label.clear()


class Variants(QWidget):
    """Small pictures of the corrections that the daemon has found, one of them chosen."""

    def __init__(self, language: str, changed: Callable[[], None]) -> None:
        super().__init__()
        self._language = language
        self._group = QButtonGroup(self)
        self._buttons: list[QToolButton] = []
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for number in range(3):
            button = QToolButton()
            button.setCheckable(True)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
            button.setIconSize(QSize(SMALL, SMALL))
            button.setAutoRaise(True)
            button.clicked.connect(lambda *_: changed())
            self._group.addButton(button, number)
            self._buttons.append(button)
            layout.addWidget(button)

    def offer(self, images: Sequence[QImage], kinds: Sequence[str]) -> None:
        """Show the corrections, and choose the first."""
        for number, button in enumerate(self._buttons):
            button.setVisible(number < len(images))
            if number < len(images):
                button.setIcon(QIcon(fitting(images[number], SMALL)))
                button.setText(proposal(kinds[number], number + 1, self._language))
        self._buttons[0].setChecked(True)

    def chosen(self) -> int:
        """The number of the chosen one."""
        return max(0, self._group.checkedId())


class Sliders(QWidget):
    """Strength and the amounts of the correction's five parts."""

    def __init__(self, language: str, changed: Callable[[], None]) -> None:
        super().__init__()
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(2)
        self.sliders: dict[str, QSlider] = {}
        names = {
            "amount": text("amount", language),
            "light": text("light", language),
            "warmth": text("warmth", language),
            "contrast": text("contrast", language),
            "saturation": text("saturation", language),
            "local": text("local", language),
        }
        for row, name in enumerate(("amount", *PARTS)):
            slider, value = QSlider(Qt.Orientation.Horizontal), QLabel("100 %")
            slider.setRange(*(STRENGTH if name == "amount" else AMOUNT))
            slider.setValue(PERCENT)
            value.setMinimumWidth(42)
            value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            slider.valueChanged.connect(lambda new, value=value: value.setText(f"{new} %"))
            slider.valueChanged.connect(lambda *_: changed())
            self.sliders[name] = slider
            layout.addWidget(QLabel(names[name]), row, 0)
            layout.addWidget(slider, row, 1)
            layout.addWidget(value, row, 2)

    def strength(self) -> float:
        return self.sliders["amount"].value() / PERCENT

    def amounts(self) -> dict[str, float]:
        """The parts that are not as predicted."""
        values = {name: self.sliders[name].value() / PERCENT for name in PARTS}
        return {name: value for name, value in values.items() if value != 1}

    def reset(self) -> None:
        """Everything as predicted."""
        for slider in self.sliders.values():
            slider.setValue(PERCENT)

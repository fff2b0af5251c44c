from enum import IntFlag

class ParamFlags(IntFlag):
    READWRITE = 3

class GType: ...

TYPE_NONE: GType

class Value:
    def __init__(self, value_type: object, value: object) -> None: ...

class Object:
    def get_property(self, name: str) -> object: ...
    def set_property(self, name: str, value: object) -> None: ...
    __gtype__: GType

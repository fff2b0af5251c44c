from enum import IntFlag

class ParamFlags(IntFlag):
    READWRITE = 3

class GType: ...

class Value:
    def __init__(self, value_type: object, value: object) -> None: ...

class Object:
    __gtype__: GType

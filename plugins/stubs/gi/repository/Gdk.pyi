KEY_F1: int

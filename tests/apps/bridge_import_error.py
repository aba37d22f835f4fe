"""Cannot be imported: what it imports is not there."""


def helper():
    import there_is_no_such_module

    return there_is_no_such_module


app = helper()

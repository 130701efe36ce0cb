"""`ordertide top`: the live orders on a terminal.

Door: `command.py`. `monitor.py` collects what is shown, `picture.py` draws parts of it for this
command and for the demo, `app.py` is the screen with its keys.
"""

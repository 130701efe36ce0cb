"""Olist: 4,998 real e-commerce orders, Brazil 2016-2018.

Door: `adapter.py`, rows to events. They follow the shipped lifecycle and rules.
Begin reading with `adapter.py`; the data's licence and origin stand beside it.
"""

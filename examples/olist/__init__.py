"""Olist: 4,998 real e-commerce orders, Brazil 2016-2018."""

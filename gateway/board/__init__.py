"""Board: the pages of `serve`, rendered on the server.

Door: `Site` (site.py), which renders a page from its view model. Pure: documents and cards go in,
HTML comes out; `routes.py` alone knows requests. Texts are in `texts.toml`, in English and Chinese.
Begin reading with `board_page.py`.
"""

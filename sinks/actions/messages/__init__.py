"""Messages to customers: templates in English and Chinese, rendered for an order.

Door: `messages.Messages`. `template.py` is one template with its limits, `templates.py` finds those
that a table names, the shipped ones in `shipped/`; `fields.py` has all that a template may use.
May import schemas. Begin reading with `fields.py`.
"""

"""Kibana: data views and a dashboard over the warm tier's indices."""

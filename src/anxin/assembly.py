"""Joins the parts: settings -> database -> platform -> faces. The one place that knows them all."""

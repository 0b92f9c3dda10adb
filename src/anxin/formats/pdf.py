"""What stands in a PDF besides its look: attached files, and the words of its pages."""

from __future__ import annotations

import io

#: Pages whose words are read: a certificate with the most rows has some twenty.
MAX_PAGES = 100


def attached(pdf: bytes, name: str, most: int) -> bytes | None:
    """Return the one attached file of this name, None where there is none, more than one, or more than `most` bytes."""
    import pikepdf

    try:
        with pikepdf.open(io.BytesIO(pdf)) as opened:
            if list(opened.attachments) != [name]:
                return None
            data = bytes(opened.attachments[name].get_file().read_bytes())
    except (pikepdf.PdfError, ValueError, KeyError, RuntimeError):
        return None
    return data if len(data) <= most else None


def page_text(pdf: bytes) -> str:
    """Return the words of all pages in reading order; what cannot be read is an empty text."""
    import pypdfium2

    try:
        opened = pypdfium2.PdfDocument(pdf)
        try:
            if len(opened) > MAX_PAGES:
                return ""
            return "\f".join(page.get_textpage().get_text_bounded() for page in opened)
        finally:
            opened.close()
    except pypdfium2.PdfiumError:
        return ""

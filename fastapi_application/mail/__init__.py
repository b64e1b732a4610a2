"""Mails: jobs that render a template in the reader's language and hand it to an SMTP server."""

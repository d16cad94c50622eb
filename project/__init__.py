"""The runnable site: settings, databases (the embedded one too), urls, wsgi."""

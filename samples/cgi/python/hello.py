"""A CGI program in Python: greets whom the query names, and answers POST with the body in capitals."""

import os
import sys
from urllib.parse import parse_qs

method = os.environ["REQUEST_METHOD"]

sys.stderr.write(f"Python answers {method}\n")
sys.stdout.write("Content-Type: text/plain; charset=utf-8\n\n")
if method == "POST":
    sys.stdout.write(sys.stdin.read().upper())
else:
    name = parse_qs(os.environ["QUERY_STRING"]).get("name", ["world"])[0]
    sys.stdout.write(f"Hello, {name}, from Python")

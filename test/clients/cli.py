"""The AWS CLI's own driver, many commands in one process, which saves each one's start: a JSON list of arguments a line in, {"rc", "out", "err"} a line out."""
import io
import json
import sys

from awscli.clidriver import create_clidriver

answers = sys.stdout
for line in sys.stdin:
    sys.stdout, sys.stderr = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    out, err = sys.stdout.buffer, sys.stderr.buffer
    try:
        rc = create_clidriver().main(json.loads(line))
    except SystemExit as e:
        rc = e.code
    answers.write(json.dumps({"rc": rc or 0, "out": out.getvalue().decode(), "err": err.getvalue().decode()}) + "\n")
    answers.flush()

"""Shared by the boto3 suites: clients that point at the server under test, checks that say what they wanted, and a list of every operation called.

Each suite is a script: functions named test_* run in order; the first failure ends it. At its end it prints one JSON line
{"suite", "passed", "answered": ["S3.PutObject", ...], "refused": {"S3.GetObject": {"NoSuchKey": true}}, "paged": {"S3.ListBuckets": true},
"waited": {"S3.HeadBucket bucket_exists": true}} which the Go test holds against docs/compatibility.md: what succeeded; what failed, with which code and
whether the operation's model declares that code; which of botocore's paginators went past a first page and which of its waiters waited.
"""
import hashlib
import json
import os
import sys
import time
import traceback
import urllib.request
import urllib.error

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["GALEN_ENDPOINT"]
ACCOUNT, REGION = "000000000000", "us-east-1"
answered, refused, paged, waited = set(), {}, {}, {}


def _note(http_response, parsed, model, **_):
    """Every answer of every client comes here (botocore's after-call event)."""
    name = f"{model.service_model.service_id}.{model.name}"
    if http_response.status_code < 300:
        answered.add(name)
        return
    code = parsed.get("Error", {}).get("Code", "")
    declared = {s.metadata.get("error", {}).get("code", s.name) for s in model.error_shapes}
    refused.setdefault(name, {})[code] = code in declared


def client(service, **kw):
    config = Config(retries={"max_attempts": 1}, signature_version="v4" if service != "s3" else "s3v4", s3={"addressing_style": "path"}, inject_host_prefix=False, parameter_validation=False)
    c = boto3.client(service, endpoint_url=ENDPOINT, config=kw.pop("config", config), **kw)
    c.meta.events.register("after-call.*", _note)
    for method, op in c.meta.method_to_api_mapping.items():
        if c.can_paginate(method):
            paged.setdefault(f"{c.meta.service_model.service_id}.{op}", False)
    for name in c.waiter_names:
        waited.setdefault(_waiter(c, name), False)
    return c


def _waiter(c, name):
    return f"{c.meta.service_model.service_id}.{c.get_waiter(name).config.operation} {name}"


def pages(c, method, key, size, /, **kw):
    """All items of a listing, by botocore's paginator in pages of this size; there must be more than one page, and none larger."""
    found, n = [], 0
    for page in c.get_paginator(method).paginate(**kw, PaginationConfig={"PageSize": size}):
        n += 1
        items = page.get(key, [])
        true(len(items) <= size, f"{method}: a page of {len(items)}, asked for {size}")
        found += items
    true(n > 1, f"{method}: one page of {len(found)} by {size}")
    paged[f"{c.meta.service_model.service_id}.{c.meta.method_to_api_mapping[method]}"] = True
    return found


def waits(c, name, /, **kw):
    """botocore's own waiter, polling faster than it would by itself."""
    c.get_waiter(name).wait(**kw, WaiterConfig={"Delay": 0.2, "MaxAttempts": 400})
    waited[_waiter(c, name)] = True


def equal(got, want, what=""):
    assert got == want, f"{what}: got {got!r}, want {want!r}"


def true(cond, what):
    assert cond, what


def fails(code, fn, *args, status=None, **kw):
    """fn must fail with this error code; returns the error."""
    try:
        fn(*args, **kw)
    except ClientError as e:
        equal(e.response["Error"]["Code"], code, getattr(fn, "__name__", "call"))
        if status is not None:
            equal(e.response["ResponseMetadata"]["HTTPStatusCode"], status, "status")
        true(e.response["ResponseMetadata"].get("RequestId"), "an error without a request id")
        return e
    raise AssertionError(f"{getattr(fn, '__name__', 'call')} succeeded, want {code}")


def refuses(c, *rows):
    """Each row: the method, the wrong input, the code and the status it must fail with. Every row is tried; all that differ are told."""
    wrong = []
    for method, kw, code, status in rows:
        try:
            fails(code, getattr(c, method), status=status, **kw)
        except AssertionError as e:
            wrong.append(f"{method}({kw}): {e}")
    true(not wrong, "\n" + "\n".join(wrong))


def wait(fn, done, failed=(), seconds=90, what="state"):
    """Polls fn() until it returns one of done; a value in failed or the time limit is a failure."""
    end = time.monotonic() + seconds
    while True:
        state = fn()
        if state in done:
            return state
        assert state not in failed, f"{what}: reached {state}"
        assert time.monotonic() < end, f"{what}: still {state} after {seconds} s"
        time.sleep(0.2)


def http(method, path, service, body=None, headers=None, sign=True):
    """A signed request to a route of an open standard: returns (status, headers, body bytes)."""
    session = boto3.Session()
    req = AWSRequest(method=method, url=ENDPOINT + path, data=body, headers=dict(headers or {}))
    if sign:
        SigV4Auth(session.get_credentials(), service, REGION).add_auth(req)
    r = urllib.request.Request(ENDPOINT + path, data=body, headers=dict(req.headers), method=method)
    try:
        with urllib.request.urlopen(r, timeout=60) as resp:
            return resp.status, resp.headers, resp.read()
    except urllib.error.HTTPError as e:
        return e.code, e.headers, e.read()


def role(name, service, actions=("*",)):
    """A role that a service may assume, allowed these actions on everything; returns its ARN."""
    iam = client("iam")
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]}
    try:
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    except ClientError as e:
        equal(e.response["Error"]["Code"], "EntityAlreadyExists")
        return f"arn:aws:iam::{ACCOUNT}:role/{name}"
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(policy))
    return arn


def sha256(b):
    return hashlib.sha256(b).hexdigest()


def main():
    mod = sys.modules["__main__"]
    passed = 0
    for name, fn in list(vars(mod).items()):
        if not name.startswith("test_") or not callable(fn):
            continue
        start = time.monotonic()
        try:
            fn()
        except Exception:
            traceback.print_exc()
            print(f"FAIL {name}", file=sys.stderr)
            print(json.dumps({"suite": os.path.basename(sys.argv[0]), "passed": passed, "failed": name, "answered": sorted(answered), "refused": refused, "paged": paged, "waited": waited}))
            sys.exit(1)
        passed += 1
        print(f"ok {name} ({time.monotonic() - start:.2f} s)", file=sys.stderr)
    print(json.dumps({"suite": os.path.basename(sys.argv[0]), "passed": passed, "answered": sorted(answered), "refused": refused, "paged": paged, "waited": waited}))

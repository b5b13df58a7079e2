"""Shared by the boto3 suites: clients that point at the server under test, checks that say what they wanted, and a list of every operation called.

Each suite is a script: functions named test_* run in order; the first failure ends it. At its end it prints one JSON line
{"suite", "passed", "operations": ["s3.PutObject", ...]} which the Go test reads.
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
called = set()


def _note(model, **_):
    called.add(f"{model.service_model.service_name}.{model.name}")


def client(service, **kw):
    config = Config(retries={"max_attempts": 1}, signature_version="v4" if service != "s3" else "s3v4", s3={"addressing_style": "path"}, inject_host_prefix=False, parameter_validation=False)
    c = boto3.client(service, endpoint_url=ENDPOINT, config=kw.pop("config", config), **kw)
    c.meta.events.register("before-call.*", _note)
    return c


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
            print(json.dumps({"suite": os.path.basename(sys.argv[0]), "passed": passed, "failed": name, "operations": sorted(called)}))
            sys.exit(1)
        passed += 1
        print(f"ok {name} ({time.monotonic() - start:.2f} s)", file=sys.stderr)
    print(json.dumps({"suite": os.path.basename(sys.argv[0]), "passed": passed, "operations": sorted(called)}))

"""Reads and writes AWS's protocols with botocore, one JSON document a line in, one out. botocore_test.go talks to it.

    {"kind": "write", "service", "operation", "protocol", "params"}            ->  {"method", "url", "headers", "body"}
    {"kind": "read", "service", "operation", "protocol", "status", "headers", "body"}  ->  {"params"}

Bytes are {"$bytes": base64}, times {"$time": seconds}.
"""
import base64, datetime, io, json, sys

import botocore.loaders
from botocore.awsrequest import AWSRequest, HeadersDict, prepare_request_dict
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

loader = botocore.loaders.Loader()
models = {}


def model(service):
    if service not in models:
        models[service] = ServiceModel(loader.load_service_model(service, "service-2"), service_name=service)
    return models[service]


def revive(v):
    if isinstance(v, dict):
        if "$bytes" in v:
            return base64.b64decode(v["$bytes"])
        if "$time" in v:
            return datetime.datetime.fromtimestamp(v["$time"], datetime.timezone.utc)
        return {k: revive(x) for k, x in v.items()}
    return [revive(x) for x in v] if isinstance(v, list) else v


def plain(v):
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    if isinstance(v, (list, tuple)):
        return [plain(x) for x in v]
    if isinstance(v, (bytes, bytearray)):
        return {"$bytes": base64.b64encode(v).decode()}
    if isinstance(v, datetime.datetime):
        return {"$time": v.timestamp()}
    return v


def write(q):
    operation = model(q["service"]).operation_model(q["operation"])
    d = create_serializer(q["protocol"], include_validation=False).serialize_to_request(revive(q["params"]), operation)
    d["context"] = {}
    prepare_request_dict(d, "http://host.example")
    r = AWSRequest(method=d["method"], url=d["url"], headers=d["headers"], data=d["body"]).prepare()
    body = r.body or b""
    if hasattr(body, "read"):
        body = body.read()
    if isinstance(body, str):
        body = body.encode()
    headers = {k: v.decode() if isinstance(v, bytes) else v for k, v in r.headers.items()}
    return {"method": r.method, "url": r.url, "headers": headers, "body": base64.b64encode(body).decode()}


def read(q):
    shape = model(q["service"]).operation_model(q["operation"]).output_shape
    headers = HeadersDict(q["headers"])
    headers.pop("Expires", None)
    body = base64.b64decode(q["body"])
    payload = shape.serialization.get("payload") if shape else None
    stream = bool(payload) and shape.members[payload].serialization.get("streaming")
    out = create_parser(q["protocol"]).parse({"status_code": q["status"], "headers": headers, "body": io.BytesIO(body) if stream else body}, shape)
    out.pop("ResponseMetadata", None)
    if stream:
        out[payload] = out[payload].read()
    return {"params": plain(out)}


for line in sys.stdin:
    q = json.loads(line)
    try:
        answer = write(q) if q["kind"] == "write" else read(q)
    except Exception as e:
        answer = {"error": "%s: %s" % (type(e).__name__, e)}
    print(json.dumps(answer), flush=True)

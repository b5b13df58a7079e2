"""Records the requests that botocore's clients send, as golden.json beside this file.

    python3 -m venv venv && venv/bin/pip install boto3==1.44.5
    venv/bin/python aws/sigv4/testdata/golden.py

The clock stands still, the credentials are those of AWS's documentation, nothing leaves the machine.
"""
import base64, datetime, io, json, pathlib
from urllib.parse import urlsplit

import boto3
import botocore.auth
import botocore.httpchecksum
from botocore.awsrequest import AWSResponse
from botocore.config import Config

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "AQoDYXdzEPT//////////wEXAMPLEtc764assume"
NOW = datetime.datetime(2026, 1, 15, 12, 0, 0, tzinfo=datetime.timezone.utc)
botocore.auth.get_current_datetime = lambda remove_tzinfo=True: NOW.replace(tzinfo=None) if remove_tzinfo else NOW

cases = []


class Body(io.BytesIO):
    def stream(self, *_, **__):
        return [self.read()]


def client(service, token=None, tls=True, **config):
    c = boto3.client(service, region_name="us-east-1", endpoint_url="http%s://galen.example:8484" % ("s" if tls else ""), aws_access_key_id=KEY, aws_secret_access_key=SECRET,
                     aws_session_token=token, config=Config(inject_host_prefix=False, retries={"max_attempts": 1}, **config))
    return c


def headers_of(request):
    out = {}
    for k, v in request.headers.items():
        out[k] = v.decode() if isinstance(v, bytes) else v
    return out


def record(case, c, operation, wanted=b"", /, **arguments):
    def send(request, **_):
        body = request.body or b""
        if hasattr(body, "read"):
            body = body.read()
        if isinstance(body, str):
            body = body.encode()
        cases.append({"name": case, "method": request.method, "url": request.url, "headers": headers_of(request), "body": base64.b64encode(body).decode(),
                      "payload": base64.b64encode(wanted).decode() if wanted is not None else base64.b64encode(body).decode()})
        return AWSResponse(request.url, 200, {}, Body(b""))
    c.meta.events.register("before-send", send)
    try:
        getattr(c, operation)(**arguments)
    except Exception:  # the empty answer cannot be read; the request is what counts
        pass
    c.meta.events.unregister("before-send", send)


def presigned(name, url, method="GET"):
    cases.append({"name": name, "method": method, "url": url, "headers": {"Host": urlsplit(url).netloc}, "body": "", "payload": ""})


record("awsJson", client("healthlake"), "list_fhir_datastores", None, MaxResults=5)
record("awsJson with a session token", client("healthlake", TOKEN), "describe_fhir_datastore", None, DatastoreId="0" * 32)
record("restJson with an ARN in its path", client("omics"), "list_tags_for_resource", None, resourceArn="arn:aws:omics:us-east-1:000000000000:run/1")
record("restJson with a query", client("omics"), "list_runs", None, name="a b+c/d~é", maxResults=3, startingToken="x==")
record("restJson with a list in its query", client("omics"), "untag_resource", None, resourceArn="arn:aws:omics:us-east-1:000000000000:run/1", tagKeys=["b", "a", "a-b", "a=b"])
record("restJson with an unsigned body", client("omics"), "upload_read_set_part", None, sequenceStoreId="1234567890", uploadId="1234567890", partSource="SOURCE1", partNumber=1, payload=b"ACGT" * 100)
record("query", client("iam"), "create_user", None, UserName="alice", Path="/a/", Tags=[{"Key": "k", "Value": "v w"}])
s3 = client("s3", s3={"addressing_style": "path"})
record("s3 key with every kind of character", s3, "get_object", None, Bucket="bucket", Key="a b/ü+&%25=?#(1)*~.txt")
record("s3 key with dots and double slashes", s3, "get_object", None, Bucket="bucket", Key="a/../b//./c/")
record("s3 list", s3, "list_objects_v2", None, Bucket="bucket", Prefix="a/b c", Delimiter="/", ContinuationToken="1+/=")
record("s3 virtual host", client("s3", TOKEN, s3={"addressing_style": "virtual"}), "head_object", None, Bucket="bucket", Key="k")
record("s3 chunked, unsigned, CRC32 trailer", s3, "put_object", b"hello world " * 500, Bucket="bucket", Key="k", Body=b"hello world " * 500, Metadata={"a": "b  c"})
record("s3 chunked, unsigned, SHA256 trailer", s3, "put_object", b"x" * 5000, Bucket="bucket", Key="k", Body=b"x" * 5000, ChecksumAlgorithm="SHA256")
record("s3 chunked, unsigned, empty", s3, "put_object", b"", Bucket="bucket", Key="k", Body=b"")
record("s3 over plain HTTP", client("s3", tls=False, s3={"addressing_style": "path"}), "put_object", b"hello", Bucket="bucket", Key="k", Body=b"hello")
record("s3 with a hashed body", client("s3", s3={"addressing_style": "path", "payload_signing_enabled": True}, request_checksum_calculation="when_required"), "put_object", b"hello", Bucket="bucket", Key="k", Body=b"hello")
signed = client("s3", TOKEN, signature_version="s3v4", s3={"addressing_style": "path"})
presigned("s3 presigned get", signed.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "a b/é.txt", "ResponseContentType": "text/plain; x"}, ExpiresIn=600))
presigned("s3 presigned put", signed.generate_presigned_url("put_object", Params={"Bucket": "bucket", "Key": "k"}, ExpiresIn=600), "PUT")
presigned("sts presigned", client("sts", TOKEN).generate_presigned_url("get_caller_identity", ExpiresIn=600, HttpMethod="GET"))

out = pathlib.Path(__file__).with_name("golden.json")
out.write_text(json.dumps({"time": NOW.isoformat(), "access_key": KEY, "secret": SECRET, "token": TOKEN, "requests": cases}, indent=1) + "\n")
print(len(cases), "requests")

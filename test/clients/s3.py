"""boto3 against s3: buckets, objects, ranges, multipart, listing, tags, copy, presigned, SSE-KMS."""
import os
import urllib.request

from botocore.exceptions import ClientError
from galen import client, equal, fails, main, true, wait  # noqa: F401

s3 = client("s3")
B = "suite-bucket"


def test_buckets():
    s3.create_bucket(Bucket=B)
    true(B in [b["Name"] for b in s3.list_buckets()["Buckets"]], "the bucket is listed")
    s3.head_bucket(Bucket=B)
    true(s3.get_bucket_location(Bucket=B)["LocationConstraint"] in (None, "us-east-1"), "location")
    fails("NoSuchBucket", s3.list_objects_v2, Bucket="no-such-bucket-here", status=404)
    fails("InvalidBucketName", s3._make_api_call, "CreateBucket", {"Bucket": "UPPER_case"}, status=400)


def test_objects():
    body = os.urandom(300_000)
    put = s3.put_object(Bucket=B, Key="a/b.bin", Body=body, ContentType="application/x-test", Metadata={"who": "suite"})
    true(put["ETag"].startswith('"'), "an ETag in quotes")
    got = s3.get_object(Bucket=B, Key="a/b.bin")
    equal(got["Body"].read(), body, "body")
    equal((got["ContentType"], got["Metadata"], got["ContentLength"]), ("application/x-test", {"who": "suite"}, 300_000), "headers")
    head = s3.head_object(Bucket=B, Key="a/b.bin")
    equal(head["ETag"], put["ETag"], "HEAD ETag")
    part = s3.get_object(Bucket=B, Key="a/b.bin", Range="bytes=1000-1999")
    equal(part["Body"].read(), body[1000:2000], "range")
    equal(part["ContentRange"], "bytes 1000-1999/300000", "Content-Range")
    equal(s3.get_object(Bucket=B, Key="a/b.bin", Range="bytes=-5")["Body"].read(), body[-5:], "suffix range")
    fails("InvalidRange", s3.get_object, Bucket=B, Key="a/b.bin", Range="bytes=400000-", status=416)
    fails("NoSuchKey", s3.get_object, Bucket=B, Key="none", status=404)
    fails("412", s3.head_object, Bucket=B, Key="a/b.bin", IfMatch='"0"')
    fails("PreconditionFailed", s3.get_object, Bucket=B, Key="a/b.bin", IfMatch='"0"', status=412)
    fails("304", s3.get_object, Bucket=B, Key="a/b.bin", IfNoneMatch=put["ETag"])
    fails("PreconditionFailed", s3.put_object, Bucket=B, Key="a/b.bin", Body=b"x", IfNoneMatch="*", status=412)
    equal(s3.get_object(Bucket=B, Key="a/b.bin")["Body"].read(), body, "a refused write changed nothing")


def test_awkward_keys():
    for key in ["sp ace", "per%cent", "plus+", "../up", "/lead", "a//b", "ünï", "q?x=1&y", "dot.", "a/./b", "tab\tx"]:
        s3.put_object(Bucket=B, Key="k/" + key, Body=key.encode())
        equal(s3.get_object(Bucket=B, Key="k/" + key)["Body"].read(), key.encode(), key)
    listed = {o["Key"] for o in s3.list_objects_v2(Bucket=B, Prefix="k/")["Contents"]}
    equal(len(listed), 11, "keys listed")


def test_checksums():
    for algorithm in ["CRC32", "SHA1", "SHA256"]:
        r = s3.put_object(Bucket=B, Key="sum", Body=b"hello", ChecksumAlgorithm=algorithm)
        true(r.get("Checksum" + algorithm), algorithm)
    fails("BadDigest", s3.put_object, Bucket=B, Key="sum2", Body=b"hello", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==", status=400)


def test_listing():
    for i in range(12):
        s3.put_object(Bucket=B, Key=f"list/{i % 3}/{i:02d}", Body=b"x")
    page = s3.list_objects_v2(Bucket=B, Prefix="list/", Delimiter="/")
    equal([p["Prefix"] for p in page["CommonPrefixes"]], ["list/0/", "list/1/", "list/2/"], "prefixes")
    keys, token = [], None
    while True:
        kw = {"ContinuationToken": token} if token else {}
        page = s3.list_objects_v2(Bucket=B, Prefix="list/", MaxKeys=5, **kw)
        keys += [o["Key"] for o in page["Contents"]]
        token = page.get("NextContinuationToken")
        if not token:
            break
    equal(len(keys), 12, "all pages")
    equal(keys, sorted(keys), "order")
    equal([o["Key"] for o in s3.list_objects_v2(Bucket=B, Prefix="list/2/", StartAfter="list/2/05")["Contents"]], ["list/2/08", "list/2/11"], "StartAfter")
    equal(len(s3.list_objects(Bucket=B, Prefix="list/")["Contents"]), 12, "first version of listing")


def test_copy_tags_delete():
    s3.put_object(Bucket=B, Key="t", Body=b"tagged", Tagging="a=1&b=2")
    equal({t["Key"]: t["Value"] for t in s3.get_object_tagging(Bucket=B, Key="t")["TagSet"]}, {"a": "1", "b": "2"}, "tags")
    s3.put_object_tagging(Bucket=B, Key="t", Tagging={"TagSet": [{"Key": "c", "Value": "3"}]})
    equal(s3.get_object_tagging(Bucket=B, Key="t")["TagSet"], [{"Key": "c", "Value": "3"}], "new tags")
    s3.copy_object(Bucket=B, Key="t2", CopySource={"Bucket": B, "Key": "t"})
    equal(s3.get_object(Bucket=B, Key="t2")["Body"].read(), b"tagged", "copy")
    s3.delete_object_tagging(Bucket=B, Key="t")
    equal(s3.get_object_tagging(Bucket=B, Key="t")["TagSet"], [], "no tags")
    s3.delete_object(Bucket=B, Key="t")
    fails("NoSuchKey", s3.get_object, Bucket=B, Key="t", status=404)
    s3.delete_object(Bucket=B, Key="t")
    r = s3.delete_objects(Bucket=B, Delete={"Objects": [{"Key": "t2"}, {"Key": "never"}]})
    equal(sorted(d["Key"] for d in r["Deleted"]), ["never", "t2"], "batch delete")


def test_multipart():
    up = s3.create_multipart_upload(Bucket=B, Key="big", ContentType="application/big")["UploadId"]
    one, two = os.urandom(5 << 20), os.urandom(70_000)
    e1 = s3.upload_part(Bucket=B, Key="big", UploadId=up, PartNumber=1, Body=one)["ETag"]
    e2 = s3.upload_part(Bucket=B, Key="big", UploadId=up, PartNumber=2, Body=two)["ETag"]
    equal([p["PartNumber"] for p in s3.list_parts(Bucket=B, Key="big", UploadId=up)["Parts"]], [1, 2], "parts")
    true(up in [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=B)["Uploads"]], "upload is listed")
    fails("NoSuchKey", s3.get_object, Bucket=B, Key="big", status=404)
    fails("InvalidPart", s3.complete_multipart_upload, Bucket=B, Key="big", UploadId=up, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": '"bad"'}]}, status=400)
    done = s3.complete_multipart_upload(Bucket=B, Key="big", UploadId=up, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": e1}, {"PartNumber": 2, "ETag": e2}]})
    true(done["ETag"].endswith('-2"'), "multipart ETag")
    equal(s3.get_object(Bucket=B, Key="big")["Body"].read(), one + two, "whole")
    up = s3.create_multipart_upload(Bucket=B, Key="copied")["UploadId"]
    c = s3.upload_part_copy(Bucket=B, Key="copied", UploadId=up, PartNumber=1, CopySource={"Bucket": B, "Key": "big"}, CopySourceRange="bytes=0-99")
    s3.complete_multipart_upload(Bucket=B, Key="copied", UploadId=up, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": c["CopyPartResult"]["ETag"]}]})
    equal(s3.get_object(Bucket=B, Key="copied")["Body"].read(), one[:100], "part copy")
    up = s3.create_multipart_upload(Bucket=B, Key="gone")["UploadId"]
    s3.abort_multipart_upload(Bucket=B, Key="gone", UploadId=up)
    fails("NoSuchUpload", s3.list_parts, Bucket=B, Key="gone", UploadId=up, status=404)


def test_presigned():
    url = s3.generate_presigned_url("put_object", Params={"Bucket": B, "Key": "pre"}, ExpiresIn=60)
    urllib.request.urlopen(urllib.request.Request(url, data=b"signed", method="PUT", headers={"Content-Type": ""})).read()
    url = s3.generate_presigned_url("get_object", Params={"Bucket": B, "Key": "pre"}, ExpiresIn=60)
    equal(urllib.request.urlopen(url).read(), b"signed", "presigned GET")
    try:
        urllib.request.urlopen(url.replace("pre?", "prf?"))
        raise AssertionError("a presigned URL for another key was accepted")
    except urllib.error.HTTPError as e:
        equal(e.code, 403, "tampered URL")


def test_sse_kms():
    kms = client("kms")
    key = kms.create_key()["KeyMetadata"]
    s3.put_object(Bucket=B, Key="enc", Body=b"sealed", ServerSideEncryption="aws:kms", SSEKMSKeyId=key["KeyId"])
    got = s3.get_object(Bucket=B, Key="enc")
    equal((got["Body"].read(), got["ServerSideEncryption"]), (b"sealed", "aws:kms"), "read under KMS")
    kms.disable_key(KeyId=key["KeyId"])
    try:
        s3.get_object(Bucket=B, Key="enc")["Body"].read()
        raise AssertionError("an object was read under a disabled key")
    except ClientError as e:
        true(e.response["Error"]["Code"].startswith("KMS."), f"code {e.response['Error']['Code']}")
    kms.enable_key(KeyId=key["KeyId"])
    equal(s3.get_object(Bucket=B, Key="enc")["Body"].read(), b"sealed", "after enabling")


def test_bucket_removal():
    s3.create_bucket(Bucket="short-lived")
    s3.put_object(Bucket="short-lived", Key="x", Body=b"")
    fails("BucketNotEmpty", s3.delete_bucket, Bucket="short-lived", status=409)
    s3.delete_object(Bucket="short-lived", Key="x")
    s3.delete_bucket(Bucket="short-lived")
    fails("404", s3.head_bucket, Bucket="short-lived", status=404)


main()

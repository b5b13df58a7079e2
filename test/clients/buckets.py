"""boto3 against the rest of s3: versions, bucket settings, policies, notifications, attributes, transfers, paging, and each operation refusing a wrong input."""
import io
import json
import os
import time

from galen import ACCOUNT, client, equal, fails, main, pages, refuses, role, true, waits

s3, kms, iam, events = client("s3"), client("kms"), client("iam"), client("events")
B = "buckets-suite"


def keys(listing):
    return [o["Key"] for o in listing]


def test_waiters():
    s3.create_bucket(Bucket=B)
    waits(s3, "bucket_exists", Bucket=B)
    waits(s3, "bucket_not_exists", Bucket="never-made-here")
    s3.put_object(Bucket=B, Key="w", Body=b"x")
    waits(s3, "object_exists", Bucket=B, Key="w")
    s3.delete_object(Bucket=B, Key="w")
    waits(s3, "object_not_exists", Bucket=B, Key="w")


def test_versions():
    equal(s3.get_bucket_versioning(Bucket=B).get("Status"), None, "never turned on")
    s3.put_object(Bucket=B, Key="v", Body=b"unversioned")
    s3.put_bucket_versioning(Bucket=B, VersioningConfiguration={"Status": "Enabled"})
    equal(s3.get_bucket_versioning(Bucket=B)["Status"], "Enabled", "status")
    ids = [s3.put_object(Bucket=B, Key="v", Body=f"{n}".encode())["VersionId"] for n in range(3)]
    equal(len(set(ids)), 3, "version ids")
    equal(s3.get_object(Bucket=B, Key="v")["Body"].read(), b"2", "the newest")
    equal([s3.get_object(Bucket=B, Key="v", VersionId=i)["Body"].read() for i in ["null"] + ids], [b"unversioned", b"0", b"1", b"2"], "each version")
    marker = s3.delete_object(Bucket=B, Key="v")
    true(marker["DeleteMarker"], "a delete marker")
    fails("NoSuchKey", s3.get_object, Bucket=B, Key="v", status=404)
    fails("MethodNotAllowed", s3.get_object, Bucket=B, Key="v", VersionId=marker["VersionId"], status=405)
    listed = pages(s3, "list_object_versions", "Versions", 2, Bucket=B, Prefix="v")
    equal([v["VersionId"] for v in listed], ids[::-1] + ["null"], "versions, newest first")
    equal([m["IsLatest"] for m in s3.list_object_versions(Bucket=B, Prefix="v")["DeleteMarkers"]], [True], "markers")
    s3.delete_object(Bucket=B, Key="v", VersionId=marker["VersionId"])
    equal(s3.get_object(Bucket=B, Key="v")["Body"].read(), b"2", "the marker is gone")
    s3.delete_object(Bucket=B, Key="v", VersionId=ids[2])
    equal(s3.get_object(Bucket=B, Key="v")["VersionId"], ids[1], "the version before")
    s3.put_object_tagging(Bucket=B, Key="v", VersionId=ids[0], Tagging={"TagSet": [{"Key": "old", "Value": "1"}]})
    equal([s3.get_object_tagging(Bucket=B, Key="v", VersionId=i)["TagSet"] for i in ids[:2]], [[{"Key": "old", "Value": "1"}], []], "tags belong to a version")
    s3.copy_object(Bucket=B, Key="restored", CopySource={"Bucket": B, "Key": "v", "VersionId": ids[0]})
    equal(s3.get_object(Bucket=B, Key="restored")["Body"].read(), b"0", "an old version copied")
    s3.put_bucket_versioning(Bucket=B, VersioningConfiguration={"Status": "Suspended"})
    equal(s3.put_object(Bucket=B, Key="v", Body=b"null again").get("VersionId"), "null", "suspended: the null version")
    equal(s3.get_object(Bucket=B, Key="v", VersionId=ids[1])["Body"].read(), b"1", "older versions stay")


def test_settings():
    fails("NoSuchTagSet", s3.get_bucket_tagging, Bucket=B, status=404)
    s3.put_bucket_tagging(Bucket=B, Tagging={"TagSet": [{"Key": "ward", "Value": "7"}]})
    equal(s3.get_bucket_tagging(Bucket=B)["TagSet"], [{"Key": "ward", "Value": "7"}], "bucket tags")
    s3.delete_bucket_tagging(Bucket=B)
    fails("NoSuchTagSet", s3.get_bucket_tagging, Bucket=B, status=404)
    rule = lambda: s3.get_bucket_encryption(Bucket=B)["ServerSideEncryptionConfiguration"]["Rules"][0]["ApplyServerSideEncryptionByDefault"]
    equal(rule()["SSEAlgorithm"], "AES256", "encryption of a new bucket")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    s3.put_bucket_encryption(Bucket=B, ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}, "BucketKeyEnabled": True}]})
    equal(rule(), {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}, "encryption")
    s3.put_object(Bucket=B, Key="sealed", Body=b"by default")
    head = s3.head_object(Bucket=B, Key="sealed")
    equal((head["ServerSideEncryption"], head["SSEKMSKeyId"]), ("aws:kms", key), "the default is used")
    s3.delete_bucket_encryption(Bucket=B)
    equal(rule()["SSEAlgorithm"], "AES256", "back to the default")
    equal(s3.put_object(Bucket=B, Key="plain", Body=b"x")["ServerSideEncryption"], "AES256", "a new object")
    equal(s3.get_object(Bucket=B, Key="sealed")["Body"].read(), b"by default", "what was sealed stays sealed, and opens")


def test_policies():
    fails("NoSuchBucketPolicy", s3.get_bucket_policy, Bucket=B, status=404)
    arn = iam.create_user(UserName="guest")["User"]["Arn"]
    k = iam.create_access_key(UserName="guest")["AccessKey"]
    guest = client("s3", aws_access_key_id=k["AccessKeyId"], aws_secret_access_key=k["SecretAccessKey"])
    s3.put_object(Bucket=B, Key="open/a", Body=b"for guests")
    fails("AccessDenied", guest.get_object, Bucket=B, Key="open/a", status=403)
    statement = {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{B}/open/*"}
    doc = {"Version": "2012-10-17", "Statement": [statement]}
    s3.put_bucket_policy(Bucket=B, Policy=json.dumps(doc))
    equal(json.loads(s3.get_bucket_policy(Bucket=B)["Policy"]), doc, "policy")
    equal(s3.get_bucket_policy_status(Bucket=B)["PolicyStatus"]["IsPublic"], False, "for one user")
    equal(guest.get_object(Bucket=B, Key="open/a")["Body"].read(), b"for guests", "the bucket's policy alone allows the user")
    fails("AccessDenied", guest.get_object, Bucket=B, Key="sealed", status=403)
    block = dict(BlockPublicAcls=True, IgnorePublicAcls=True, BlockPublicPolicy=True, RestrictPublicBuckets=True)
    off = {n: False for n in block}
    s3.put_public_access_block(Bucket=B, PublicAccessBlockConfiguration=off)
    public = json.dumps({"Version": "2012-10-17", "Statement": [{**statement, "Principal": "*"}]})
    s3.put_bucket_policy(Bucket=B, Policy=public)
    equal(s3.get_bucket_policy_status(Bucket=B)["PolicyStatus"]["IsPublic"], True, "for everybody")
    s3.put_public_access_block(Bucket=B, PublicAccessBlockConfiguration=block)
    equal(s3.get_public_access_block(Bucket=B)["PublicAccessBlockConfiguration"], block, "block")
    fails("AccessDenied", guest.get_object, Bucket=B, Key="open/a", status=403)  # restricted: a public policy gives nothing
    fails("AccessDenied", s3.put_bucket_policy, Bucket=B, Policy=public, status=403)
    s3.delete_bucket_policy(Bucket=B)
    fails("NoSuchBucketPolicy", s3.get_bucket_policy_status, Bucket=B, status=404)
    fails("AccessDenied", guest.get_object, Bucket=B, Key="open/a", status=403)


def test_notifications():
    s3.create_bucket(Bucket="told-of")
    deliver = role("tell", "events.amazonaws.com", ["s3:PutObject"])
    equal("EventBridgeConfiguration" in s3.get_bucket_notification_configuration(Bucket=B), False, "off")
    s3.put_bucket_notification_configuration(Bucket=B, NotificationConfiguration={"EventBridgeConfiguration": {}})
    equal(s3.get_bucket_notification_configuration(Bucket=B)["EventBridgeConfiguration"], {}, "on")
    events.put_rule(Name="tell", EventPattern=json.dumps({"source": ["aws.s3"], "detail": {"bucket": {"name": [B]}, "object": {"key": [{"prefix": "told/"}]}}}))
    events.put_targets(Rule="tell", Targets=[{"Id": "q", "Arn": "arn:aws:s3:::told-of/q", "RoleArn": deliver}])
    put = s3.put_object(Bucket=B, Key="told/x", Body=b"12345")
    for _ in range(100):
        found = s3.list_objects_v2(Bucket="told-of").get("Contents")
        if found:
            break
        time.sleep(0.1)
    e = json.loads(s3.get_object(Bucket="told-of", Key=found[0]["Key"])["Body"].read())
    equal((e["detail-type"], e["detail"]["object"]["key"], e["detail"]["object"]["size"], e["detail"]["object"]["etag"]), ("Object Created", "told/x", 5, put["ETag"].strip('"')), "event")
    s3.put_bucket_notification_configuration(Bucket=B, NotificationConfiguration={})
    equal("EventBridgeConfiguration" in s3.get_bucket_notification_configuration(Bucket=B), False, "off again")
    events.remove_targets(Rule="tell", Ids=["q"])
    events.delete_rule(Name="tell")


def test_attributes_and_transfers():
    body = os.urandom(18 << 20)
    s3.upload_fileobj(io.BytesIO(body), B, "transfer", ExtraArgs={"ChecksumAlgorithm": "SHA256"})  # s3transfer: parts of 8 MiB, several at once
    got = io.BytesIO()
    s3.download_fileobj(B, "transfer", got)
    true(got.getvalue() == body, "the transfer came back")
    a = s3.get_object_attributes(Bucket=B, Key="transfer", ObjectAttributes=["ETag", "ObjectSize", "StorageClass", "ObjectParts", "Checksum"])
    equal((a["ObjectSize"], a["ETag"].endswith("-3"), a["ObjectParts"]["TotalPartsCount"]), (len(body), True, 3), "attributes")
    equal([p["Size"] for p in a["ObjectParts"]["Parts"]], [8 << 20, 8 << 20, 2 << 20], "parts")
    equal(s3.get_object(Bucket=B, Key="transfer", PartNumber=3)["Body"].read(), body[16 << 20:], "one part")
    s3.copy({"Bucket": B, "Key": "transfer"}, B, "copied", Config=__import__("boto3").s3.transfer.TransferConfig(multipart_threshold=6 << 20, multipart_chunksize=6 << 20))
    equal(s3.head_object(Bucket=B, Key="copied")["ContentLength"], len(body), "copied by parts")
    equal(s3.get_object(Bucket=B, Key="copied", Range="bytes=9000000-9000099")["Body"].read(), body[9000000:9000100], "and the same bytes")


def test_paging():
    for n in range(7):
        s3.put_object(Bucket=B, Key=f"page/{n}", Body=b"x")
    want = [f"page/{n}" for n in range(7)]
    equal(keys(pages(s3, "list_objects_v2", "Contents", 3, Bucket=B, Prefix="page/")), want, "second version")
    equal(keys(pages(s3, "list_objects", "Contents", 3, Bucket=B, Prefix="page/")), want, "first version")
    for n in range(3):
        s3.create_bucket(Bucket=f"paged-{n}")
    true([f"paged-{n}" for n in range(3)] == [b["Name"] for b in pages(s3, "list_buckets", "Buckets", 2, Prefix="paged-")], "buckets")
    ups = [s3.create_multipart_upload(Bucket=B, Key=f"up/{n}")["UploadId"] for n in range(3)]
    equal([u["UploadId"] for u in pages(s3, "list_multipart_uploads", "Uploads", 2, Bucket=B, Prefix="up/")], ups, "uploads")
    for n in range(1, 4):
        s3.upload_part(Bucket=B, Key="up/0", UploadId=ups[0], PartNumber=n, Body=b"x" * n)
    equal([p["Size"] for p in pages(s3, "list_parts", "Parts", 2, Bucket=B, Key="up/0", UploadId=ups[0])], [1, 2, 3], "parts")
    for n, u in enumerate(ups):
        s3.abort_multipart_upload(Bucket=B, Key=f"up/{n}", UploadId=u)
    equal(s3.list_multipart_uploads(Bucket=B, Prefix="up/").get("Uploads", []), [], "none is left")


def test_refusals():
    none = dict(Bucket="never-made-here")
    upload = dict(Bucket=B, Key="k", UploadId="no-such-upload")
    tags = {"TagSet": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}
    refuses(s3,
            ("abort_multipart_upload", upload, "NoSuchUpload", 404),
            ("complete_multipart_upload", dict(upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": '"x"'}]}), "NoSuchUpload", 404),
            ("copy_object", dict(Bucket=B, Key="c", CopySource={"Bucket": B, "Key": "never"}), "NoSuchKey", 404),
            ("create_bucket", dict(Bucket=B, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}), "IllegalLocationConstraintException", 400),
            ("create_multipart_upload", dict(none, Key="k"), "NoSuchBucket", 404),
            ("delete_bucket", none, "NoSuchBucket", 404),
            ("delete_bucket_encryption", none, "NoSuchBucket", 404),
            ("delete_bucket_policy", none, "NoSuchBucket", 404),
            ("delete_bucket_tagging", none, "NoSuchBucket", 404),
            ("delete_object", dict(none, Key="k"), "NoSuchBucket", 404),
            ("delete_object_tagging", dict(Bucket=B, Key="never"), "NoSuchKey", 404),
            ("delete_objects", dict(Bucket=B, Delete={"Objects": []}), "MalformedXML", 400),
            ("get_bucket_encryption", none, "NoSuchBucket", 404),
            ("get_bucket_location", none, "NoSuchBucket", 404),
            ("get_bucket_notification_configuration", none, "NoSuchBucket", 404),
            ("get_bucket_policy", none, "NoSuchBucket", 404),
            ("get_bucket_tagging", none, "NoSuchBucket", 404),
            ("get_bucket_versioning", none, "NoSuchBucket", 404),
            ("get_object", dict(Bucket=B, Key="v", VersionId="no version of ours"), "InvalidArgument", 400),
            ("get_object_attributes", dict(Bucket=B, Key="never", ObjectAttributes=["ETag"]), "NoSuchKey", 404),
            ("get_object_tagging", dict(Bucket=B, Key="never"), "NoSuchKey", 404),
            ("get_public_access_block", none, "NoSuchBucket", 404),
            ("head_object", dict(Bucket=B, Key="never"), "404", 404),
            ("list_multipart_uploads", none, "NoSuchBucket", 404),
            ("list_object_versions", dict(Bucket=B, VersionIdMarker="x"), "InvalidArgument", 400),
            ("list_objects", none, "NoSuchBucket", 404),
            ("list_objects_v2", dict(Bucket=B, ContinuationToken="no token of ours"), "InvalidArgument", 400),
            ("list_parts", upload, "NoSuchUpload", 404),
            ("put_bucket_encryption", dict(Bucket=B, ServerSideEncryptionConfiguration={"Rules": []}), "MalformedXML", 400),
            ("put_bucket_notification_configuration", dict(Bucket=B, NotificationConfiguration={"QueueConfigurations": [{"QueueArn": "arn:aws:sqs:us-east-1:000000000000:q", "Events": ["s3:ObjectCreated:*"]}]}),
             "InvalidArgument", 400),
            ("put_bucket_policy", dict(Bucket=B, Policy="{not json"), "MalformedPolicy", 400),
            ("put_bucket_tagging", dict(Bucket=B, Tagging=tags), "InvalidTag", 400),
            ("put_bucket_versioning", dict(Bucket=B, VersioningConfiguration={"Status": "Sometimes"}), "MalformedXML", 400),
            ("put_object", dict(Bucket=B, Key="x" * 1025, Body=b""), "KeyTooLongError", 400),
            ("put_object_tagging", dict(Bucket=B, Key="v", Tagging=tags), "InvalidTag", 400),
            ("put_public_access_block", dict(none, PublicAccessBlockConfiguration={}), "NoSuchBucket", 404),
            ("upload_part", dict(upload, PartNumber=1, Body=b"x"), "NoSuchUpload", 404),
            ("upload_part", dict(upload, PartNumber=10001, Body=b"x"), "InvalidArgument", 400),
            ("upload_part_copy", dict(upload, PartNumber=1, CopySource={"Bucket": B, "Key": "v"}), "NoSuchUpload", 404))
    fails("InvalidArgument", s3.list_buckets, ContinuationToken="no token of ours", status=400)
    fails("NoSuchBucket", s3.get_bucket_policy_status, **none, status=404)


main()

"""boto3 against the platform services: kms, iam, sts, events, cloudtrail."""
import base64
import json
import time

import boto3
from galen import ACCOUNT, ENDPOINT, client, equal, fails, main, true

kms, iam, sts, events = client("kms"), client("iam"), client("sts"), client("events")


def test_kms():
    k = kms.create_key(Description="suite", Tags=[{"TagKey": "a", "TagValue": "b"}])["KeyMetadata"]
    equal((k["KeyState"], k["Enabled"], k["KeyUsage"]), ("Enabled", True, "ENCRYPT_DECRYPT"), "key")
    kms.create_alias(AliasName="alias/suite", TargetKeyId=k["KeyId"])
    fails("AlreadyExistsException", kms.create_alias, AliasName="alias/suite", TargetKeyId=k["KeyId"])
    true("alias/suite" in [a["AliasName"] for a in kms.list_aliases()["Aliases"]], "alias listed")
    true(k["KeyId"] in [x["KeyId"] for x in kms.list_keys()["Keys"]], "key listed")
    equal(kms.describe_key(KeyId="alias/suite")["KeyMetadata"]["Arn"], k["Arn"], "describe by alias")
    ctx = {"patient": "p1"}
    sealed = kms.encrypt(KeyId="alias/suite", Plaintext=b"secret", EncryptionContext=ctx)["CiphertextBlob"]
    equal(kms.decrypt(CiphertextBlob=sealed, EncryptionContext=ctx)["Plaintext"], b"secret", "decrypt")
    fails("InvalidCiphertextException", kms.decrypt, CiphertextBlob=sealed, EncryptionContext={"patient": "p2"}, status=400)
    fails("InvalidCiphertextException", kms.decrypt, CiphertextBlob=b"not a ciphertext", status=400)
    d = kms.generate_data_key(KeyId=k["Arn"], KeySpec="AES_256")
    equal(len(d["Plaintext"]), 32, "data key")
    equal(kms.decrypt(CiphertextBlob=d["CiphertextBlob"])["Plaintext"], d["Plaintext"], "data key opens")
    true("Plaintext" not in kms.generate_data_key_without_plaintext(KeyId=k["KeyId"], KeySpec="AES_256"), "no plaintext")
    kms.disable_key(KeyId=k["KeyId"])
    fails("DisabledException", kms.encrypt, KeyId=k["KeyId"], Plaintext=b"x")
    kms.enable_key(KeyId=k["KeyId"])
    kms.schedule_key_deletion(KeyId=k["KeyId"], PendingWindowInDays=7)
    fails("KMSInvalidStateException", kms.encrypt, KeyId=k["KeyId"], Plaintext=b"x")
    kms.cancel_key_deletion(KeyId=k["KeyId"])
    kms.enable_key(KeyId=k["KeyId"])
    equal(kms.decrypt(CiphertextBlob=sealed, EncryptionContext=ctx)["Plaintext"], b"secret", "after cancelling deletion")
    fails("NotFoundException", kms.describe_key, KeyId="alias/none")
    policy = json.loads(kms.get_key_policy(KeyId=k["KeyId"], PolicyName="default")["Policy"])
    true(policy["Statement"], "a default key policy")


def test_identity():
    me = sts.get_caller_identity()
    equal((me["Account"], me["Arn"]), (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root"), "root")
    u = iam.create_user(UserName="nurse", Tags=[{"Key": "ward", "Value": "3"}])["User"]
    equal(u["Arn"], f"arn:aws:iam::{ACCOUNT}:user/nurse", "user ARN")
    fails("EntityAlreadyExists", iam.create_user, UserName="nurse", status=409)
    key = iam.create_access_key(UserName="nurse")["AccessKey"]
    as_nurse = dict(aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    equal(client("sts", **as_nurse).get_caller_identity()["Arn"], u["Arn"], "the user calls")
    s3n = client("s3", **as_nurse)
    fails("AccessDenied", s3n.list_buckets, status=403)
    allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}]}
    iam.put_user_policy(UserName="nurse", PolicyName="list", PolicyDocument=json.dumps(allow))
    s3n.list_buckets()
    equal(iam.list_user_policies(UserName="nurse")["PolicyNames"], ["list"], "inline policies")
    p = iam.create_policy(PolicyName="no-list", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}}))["Policy"]
    iam.attach_user_policy(UserName="nurse", PolicyArn=p["Arn"])
    fails("AccessDenied", s3n.list_buckets, status=403)
    iam.detach_user_policy(UserName="nurse", PolicyArn=p["Arn"])
    s3n.list_buckets()
    iam.update_access_key(UserName="nurse", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    fails("InvalidAccessKeyId", s3n.list_buckets, status=403)
    fails("MalformedPolicyDocument", iam.put_user_policy, UserName="nurse", PolicyName="bad", PolicyDocument="{not json", status=400)
    fails("NoSuchEntity", iam.get_user, UserName="nobody", status=404)


def test_roles():
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}]}
    arn = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName="reader", PolicyName="s3", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}))
    fails("AccessDenied", sts.assume_role, RoleArn=arn, RoleSessionName="suite", status=403)  # root may assume no role
    iam.create_user(UserName="assumer")
    iam.put_user_policy(UserName="assumer", PolicyName="assume", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": arn}]}))
    key = iam.create_access_key(UserName="assumer")["AccessKey"]
    assumer = client("sts", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    c = assumer.assume_role(RoleArn=arn, RoleSessionName="suite", DurationSeconds=900)["Credentials"]
    session = dict(aws_access_key_id=c["AccessKeyId"], aws_secret_access_key=c["SecretAccessKey"], aws_session_token=c["SessionToken"])
    equal(client("sts", **session).get_caller_identity()["Arn"], f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/suite", "session ARN")
    client("s3", **session).list_buckets()
    fails("AccessDenied", client("iam", **session).list_users, status=403)
    narrow = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]})
    c = assumer.assume_role(RoleArn=arn, RoleSessionName="narrow", Policy=narrow)["Credentials"]
    session = dict(aws_access_key_id=c["AccessKeyId"], aws_secret_access_key=c["SecretAccessKey"], aws_session_token=c["SessionToken"])
    fails("AccessDenied", client("s3", **session).list_buckets, status=403)
    session["aws_session_token"] = session["aws_session_token"][:-4] + "AAAA"
    fails("InvalidToken", client("s3", **session).list_buckets)


def test_events():
    pattern = {"source": ["suite.app"], "detail": {"n": [{"numeric": [">", 3]}]}}
    events.put_rule(Name="suite", EventPattern=json.dumps(pattern))
    equal(events.describe_rule(Name="suite")["State"], "ENABLED", "rule")
    true("suite" in [r["Name"] for r in events.list_rules()["Rules"]], "listed")
    event = {"id": "1", "source": "suite.app", "detail-type": "x", "account": ACCOUNT, "time": "2026-01-01T00:00:00Z", "region": "us-east-1", "resources": [], "detail": {"n": 4}}
    equal(events.test_event_pattern(EventPattern=json.dumps(pattern), Event=json.dumps(event))["Result"], True, "matches")
    event["detail"]["n"] = 3
    equal(events.test_event_pattern(EventPattern=json.dumps(pattern), Event=json.dumps(event))["Result"], False, "does not match")
    fails("InvalidEventPatternException", events.put_rule, Name="bad", EventPattern='{"source": "not a list"}', status=400)
    r = events.put_events(Entries=[{"Source": "suite.app", "DetailType": "x", "Detail": json.dumps({"n": 5})}, {"Source": "suite.app", "DetailType": "x", "Detail": "not json"}])
    equal(r["FailedEntryCount"], 1, "one entry is refused")
    events.disable_rule(Name="suite")
    equal(events.describe_rule(Name="suite")["State"], "DISABLED", "disabled")
    events.enable_rule(Name="suite")
    events.delete_rule(Name="suite")
    fails("ResourceNotFoundException", events.describe_rule, Name="suite", status=400)


def test_cloudtrail():
    iam.create_user(UserName="seen")
    found = []
    for _ in range(50):
        found = client("cloudtrail").lookup_events(LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "CreateUser"}])["Events"]
        if len(found) >= 2:
            break
        time.sleep(0.1)
    true(len(found) >= 2, f"CreateUser in the audit log: {len(found)}")
    record = json.loads(found[0]["CloudTrailEvent"])
    equal((record["eventName"], record["eventSource"]), ("CreateUser", "iam.amazonaws.com"), "record")
    equal({k: record["additionalEventData"].get(k) for k in ("decision", "decidingPolicy", "decidingPolicyType")}, {"decision": "Allow", "decidingPolicy": "root", "decidingPolicyType": "root"}, "what decided")


def test_bad_signatures():
    bad = boto3.client("sts", endpoint_url=ENDPOINT, aws_access_key_id="GALENTESTROOTKEY0001", aws_secret_access_key="wrong")
    fails("SignatureDoesNotMatch", bad.get_caller_identity, status=403)
    bad = boto3.client("sts", endpoint_url=ENDPOINT, aws_access_key_id="UNKNOWNKEY0000000000", aws_secret_access_key="wrong")
    fails("InvalidClientTokenId", bad.get_caller_identity, status=403)


main()

"""boto3 against the rest of kms: grants, rotation, policies, tags, aliases, re-encryption, paging, and each operation refusing a wrong input."""
import json

from galen import ACCOUNT, client, equal, fails, main, pages, refuses, true

kms, iam = client("kms"), client("iam")
NONE = "00000000-0000-4000-8000-000000000000"


def user(name, *actions):
    """A client of kms for a new user, allowed these actions by its own policy."""
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    if actions:
        doc = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}
        iam.put_user_policy(UserName=name, PolicyName="kms", PolicyDocument=json.dumps(doc))
    k = iam.create_access_key(UserName=name)["AccessKey"]
    return arn, client("kms", aws_access_key_id=k["AccessKeyId"], aws_secret_access_key=k["SecretAccessKey"])


def key(**kw):
    return kms.create_key(**kw)["KeyMetadata"]["KeyId"]


def test_aliases():
    one, two = key(), key()
    kms.create_alias(AliasName="alias/moves", TargetKeyId=one)
    sealed = kms.encrypt(KeyId="alias/moves", Plaintext=b"before")["CiphertextBlob"]
    kms.update_alias(AliasName="alias/moves", TargetKeyId=two)
    equal(kms.describe_key(KeyId="alias/moves")["KeyMetadata"]["KeyId"], two, "the alias points elsewhere")
    opened = kms.decrypt(CiphertextBlob=sealed)
    equal((opened["Plaintext"], opened["KeyId"].endswith(one)), (b"before", True), "what was sealed before opens with its own key")
    equal([a["AliasName"] for a in kms.list_aliases(KeyId=two)["Aliases"]], ["alias/moves"], "aliases of a key")
    for n in range(3):
        kms.create_alias(AliasName=f"alias/p{n}", TargetKeyId=one)
    equal([a["AliasName"] for a in pages(kms, "list_aliases", "Aliases", 2, KeyId=one)], ["alias/p0", "alias/p1", "alias/p2"], "paged aliases")
    kms.delete_alias(AliasName="alias/moves")
    fails("NotFoundException", kms.encrypt, KeyId="alias/moves", Plaintext=b"x")
    equal(kms.describe_key(KeyId=two)["KeyMetadata"]["KeyState"], "Enabled", "the key outlives its alias")


def test_description_and_tags():
    k = key(Description="first")
    kms.update_key_description(KeyId=k, Description="second")
    equal(kms.describe_key(KeyId=k)["KeyMetadata"]["Description"], "second", "description")
    kms.tag_resource(KeyId=k, Tags=[{"TagKey": n, "TagValue": n.upper()} for n in "cab"])
    kms.tag_resource(KeyId=k, Tags=[{"TagKey": "a", "TagValue": "new"}])
    equal(pages(kms, "list_resource_tags", "Tags", 2, KeyId=k), [{"TagKey": "a", "TagValue": "new"}, {"TagKey": "b", "TagValue": "B"}, {"TagKey": "c", "TagValue": "C"}], "tags")
    kms.untag_resource(KeyId=k, TagKeys=["a", "c", "never"])
    equal(kms.list_resource_tags(KeyId=k)["Tags"], [{"TagKey": "b", "TagValue": "B"}], "tags left")
    true({k} <= {x["KeyId"] for x in pages(kms, "list_keys", "Keys", 2)}, "paged keys")


def test_rotation():
    k = key()
    equal(kms.get_key_rotation_status(KeyId=k)["KeyRotationEnabled"], False, "a new key does not rotate")
    kms.enable_key_rotation(KeyId=k, RotationPeriodInDays=90)
    status = kms.get_key_rotation_status(KeyId=k)
    equal((status["KeyRotationEnabled"], status["RotationPeriodInDays"]), (True, 90), "rotation")
    true(80 < (status["NextRotationDate"] - kms.describe_key(KeyId=k)["KeyMetadata"]["CreationDate"]).days <= 90, f"next rotation {status['NextRotationDate']}")
    sealed = kms.encrypt(KeyId=k, Plaintext=b"old material")["CiphertextBlob"]
    for _ in range(3):
        equal(kms.rotate_key_on_demand(KeyId=k)["KeyId"].endswith(k), True, "rotated")
    done = pages(kms, "list_key_rotations", "Rotations", 2, KeyId=k)
    equal([r["RotationType"] for r in done], ["ON_DEMAND"] * 3, "rotations")
    equal(kms.decrypt(CiphertextBlob=sealed)["Plaintext"], b"old material", "sealed before three rotations")
    kms.disable_key_rotation(KeyId=k)
    equal(kms.get_key_rotation_status(KeyId=k)["KeyRotationEnabled"], False, "off again")


def test_reencrypt_and_random():
    one, two = key(), key()
    sealed = kms.encrypt(KeyId=one, Plaintext=b"moved", EncryptionContext={"a": "1"})["CiphertextBlob"]
    fails("InvalidCiphertextException", kms.re_encrypt, CiphertextBlob=sealed, DestinationKeyId=two, status=400)
    moved = kms.re_encrypt(CiphertextBlob=sealed, SourceEncryptionContext={"a": "1"}, DestinationKeyId=two, DestinationEncryptionContext={"b": "2"})
    true(moved["SourceKeyId"].endswith(one) and moved["KeyId"].endswith(two), "both keys are told")
    kms.disable_key(KeyId=one)
    equal(kms.decrypt(CiphertextBlob=moved["CiphertextBlob"], EncryptionContext={"b": "2"})["Plaintext"], b"moved", "opens without the first key")
    fails("IncorrectKeyException", kms.decrypt, CiphertextBlob=moved["CiphertextBlob"], EncryptionContext={"b": "2"}, KeyId=one, status=400)
    a, b = (kms.generate_random(NumberOfBytes=64)["Plaintext"] for _ in range(2))
    true(len(a) == 64 and a != b, "random bytes")


def test_policies():
    k = key()
    equal(kms.list_key_policies(KeyId=k)["PolicyNames"], ["default"], "policies")
    arn, nurse = user("kms-policy")
    fails("AccessDeniedException", nurse.describe_key, KeyId=k, status=400)
    doc = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*", "Resource": "*"},
                                                  {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "kms:DescribeKey", "Resource": "*"}]}
    kms.put_key_policy(KeyId=k, PolicyName="default", Policy=json.dumps(doc))
    equal(json.loads(kms.get_key_policy(KeyId=k, PolicyName="default")["Policy"]), doc, "policy")
    equal(nurse.describe_key(KeyId=k)["KeyMetadata"]["KeyId"], k, "the key's policy alone allows the user")
    fails("AccessDeniedException", nurse.encrypt, KeyId=k, Plaintext=b"x", status=400)
    lockout = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "kms:DescribeKey", "Resource": "*"}]}
    fails("MalformedPolicyDocumentException", kms.put_key_policy, KeyId=k, PolicyName="default", Policy=json.dumps(lockout), status=400)
    equal(json.loads(kms.get_key_policy(KeyId=k, PolicyName="default")["Policy"]), doc, "a refused policy changed nothing")


def test_grants():
    k = key()
    arn, lab = user("kms-grant")
    made = [kms.create_grant(KeyId=k, GranteePrincipal=arn, RetiringPrincipal=arn, Operations=["Encrypt", "Decrypt"], Name=f"g{n}", Constraints={"EncryptionContextSubset": {"lab": str(n)}}) for n in range(3)]
    equal(kms.create_grant(KeyId=k, GranteePrincipal=arn, RetiringPrincipal=arn, Operations=["Encrypt", "Decrypt"], Name="g0", Constraints={"EncryptionContextSubset": {"lab": "0"}})["GrantId"],
          made[0]["GrantId"], "the same grant once more")
    listed = pages(kms, "list_grants", "Grants", 2, KeyId=k)
    equal({g["GrantId"] for g in listed}, {g["GrantId"] for g in made}, "grants")
    equal({g["GrantId"] for g in pages(kms, "list_retirable_grants", "Grants", 2, RetiringPrincipal=arn)}, {g["GrantId"] for g in made}, "retirable grants")
    equal([g["Name"] for g in listed if g["GrantId"] == made[1]["GrantId"]], ["g1"], "name")
    sealed = lab.encrypt(KeyId=k, Plaintext=b"granted", EncryptionContext={"lab": "1", "more": "x"})["CiphertextBlob"]
    equal(lab.decrypt(CiphertextBlob=sealed, EncryptionContext={"lab": "1", "more": "x"})["Plaintext"], b"granted", "under the grant")
    fails("AccessDeniedException", lab.encrypt, KeyId=k, Plaintext=b"x", EncryptionContext={"lab": "9"}, status=400)
    fails("AccessDeniedException", lab.describe_key, KeyId=k, status=400)
    kms.revoke_grant(KeyId=k, GrantId=made[1]["GrantId"])
    fails("AccessDeniedException", lab.decrypt, CiphertextBlob=sealed, EncryptionContext={"lab": "1", "more": "x"}, status=400)
    lab.retire_grant(GrantToken=made[0]["GrantToken"])
    equal([g["GrantId"] for g in kms.list_grants(KeyId=k)["Grants"]], [made[2]["GrantId"]], "one grant is left")


def test_refusals():
    k, dead = key(), key()
    deleted = kms.schedule_key_deletion(KeyId=dead, PendingWindowInDays=7)
    equal(deleted["KeyState"], "PendingDeletion", "state")
    missing = dict(KeyId=NONE)
    refuses(kms,
            ("cancel_key_deletion", dict(KeyId=k), "KMSInvalidStateException", 400),
            ("create_alias", dict(AliasName="no-prefix", TargetKeyId=k), "InvalidAliasNameException", 400),
            ("create_grant", dict(KeyId=NONE, GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:root", Operations=["Encrypt"]), "NotFoundException", 400),
            ("create_grant", dict(KeyId=k, GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:root", Operations=["Sing"]), "ValidationException", 400),
            ("create_key", dict(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY"), "UnsupportedOperationException", 400),
            ("create_key", dict(Policy="{}"), "MalformedPolicyDocumentException", 400),
            ("decrypt", dict(CiphertextBlob=b"\0" * 60), "InvalidCiphertextException", 400),
            ("delete_alias", dict(AliasName="alias/never"), "NotFoundException", 400),
            ("describe_key", dict(KeyId="arn:aws:kms:us-east-1:000000000000:nonsense"), "InvalidArnException", 400),
            ("disable_key", missing, "NotFoundException", 400),
            ("disable_key_rotation", missing, "NotFoundException", 400),
            ("enable_key", dict(KeyId=dead), "KMSInvalidStateException", 400),
            ("enable_key_rotation", dict(KeyId=dead), "KMSInvalidStateException", 400),
            ("enable_key_rotation", dict(KeyId=k, RotationPeriodInDays=1), "ValidationException", 400),
            ("encrypt", dict(KeyId=dead, Plaintext=b"x"), "KMSInvalidStateException", 400),
            ("encrypt", dict(KeyId=k, Plaintext=b"x" * 4097), "ValidationException", 400),
            ("generate_data_key", dict(KeyId=dead, KeySpec="AES_256"), "KMSInvalidStateException", 400),
            ("generate_data_key", dict(KeyId=k), "ValidationException", 400),
            ("generate_data_key_without_plaintext", dict(KeyId=NONE, KeySpec="AES_256"), "NotFoundException", 400),
            ("generate_random", dict(NumberOfBytes=1025), "ValidationException", 400),
            ("get_key_policy", dict(KeyId=k, PolicyName="other"), "NotFoundException", 400),
            ("get_key_rotation_status", missing, "NotFoundException", 400),
            ("list_aliases", missing, "NotFoundException", 400),
            ("list_grants", dict(KeyId=k, GrantId="0" * 64), "NotFoundException", 400),
            ("list_key_policies", missing, "NotFoundException", 400),
            ("list_key_rotations", missing, "NotFoundException", 400),
            ("list_keys", dict(Marker="no marker of ours"), "InvalidMarkerException", 400),
            ("list_resource_tags", missing, "NotFoundException", 400),
            ("list_retirable_grants", dict(RetiringPrincipal=f"arn:aws:iam::{ACCOUNT}:root", Marker="no marker of ours"), "InvalidMarkerException", 400),
            ("put_key_policy", dict(KeyId=k, PolicyName="default", Policy="{not json"), "MalformedPolicyDocumentException", 400),
            ("re_encrypt", dict(CiphertextBlob=b"\0" * 60, DestinationKeyId=k), "InvalidCiphertextException", 400),
            ("retire_grant", dict(GrantToken="not a token"), "InvalidGrantTokenException", 400),
            ("revoke_grant", dict(KeyId=k, GrantId="0" * 64), "NotFoundException", 400),
            ("rotate_key_on_demand", missing, "NotFoundException", 400),
            ("schedule_key_deletion", dict(KeyId=dead), "KMSInvalidStateException", 400),
            ("tag_resource", dict(KeyId=k, Tags=[{"TagKey": "aws:x", "TagValue": "y"}]), "TagException", 400),
            ("untag_resource", dict(KeyId=dead, TagKeys=["a"]), "KMSInvalidStateException", 400),
            ("update_alias", dict(AliasName="alias/never", TargetKeyId=k), "NotFoundException", 400),
            ("update_key_description", dict(KeyId=dead, Description="x"), "KMSInvalidStateException", 400))


main()

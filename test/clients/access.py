"""boto3 against the rest of iam, sts, events and cloudtrail: OpenID providers and web identities, paging, and each operation refusing a wrong input."""
import datetime
import http.server
import json
import threading
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from galen import ACCOUNT, client, equal, fails, main, pages, refuses, true, wait, waits

iam, sts, events, trail = client("iam"), client("sts"), client("events"), client("cloudtrail")
state = {}


def policy(effect, action, resource="*"):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": action, "Resource": resource}]})


def trust(principal, action="sts:AssumeRole"):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": principal, "Action": action}]})


def names(items, key):
    return [x[key] for x in items]


def test_paging():
    """Every listing of iam by botocore's paginators, in pages smaller than the list."""
    three = [f"lists-{n}" for n in range(3)]
    for n in three:
        iam.create_user(UserName=n, Path="/lists/")
        iam.create_group(GroupName=n, Path="/lists/")
        iam.create_role(RoleName=n, Path="/lists/", AssumeRolePolicyDocument=trust({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}))
        arn = iam.create_policy(PolicyName=n, Path="/lists/", PolicyDocument=policy("Allow", "s3:GetObject"))["Policy"]["Arn"]
        iam.add_user_to_group(GroupName=three[0], UserName=n)
        if n != three[0]:
            iam.add_user_to_group(GroupName=n, UserName=three[0])
        iam.attach_user_policy(UserName=three[0], PolicyArn=arn)
        iam.attach_role_policy(RoleName=three[0], PolicyArn=arn)
        iam.put_user_policy(UserName=three[0], PolicyName=n, PolicyDocument=policy("Allow", "s3:GetObject"))
        iam.put_role_policy(RoleName=three[0], PolicyName=n, PolicyDocument=policy("Allow", "s3:GetObject"))
        iam.tag_user(UserName=three[0], Tags=[{"Key": n, "Value": "x"}])
        iam.tag_role(RoleName=three[0], Tags=[{"Key": n, "Value": "x"}])
    waits(iam, "user_exists", UserName=three[2])
    waits(iam, "role_exists", RoleName=three[2])
    waits(iam, "policy_exists", PolicyArn=arn)
    user, role = dict(UserName=three[0]), dict(RoleName=three[0])
    for method, key, field, kw in (
            ("list_users", "Users", "UserName", dict(PathPrefix="/lists/")), ("list_groups", "Groups", "GroupName", dict(PathPrefix="/lists/")), ("list_roles", "Roles", "RoleName", dict(PathPrefix="/lists/")),
            ("list_policies", "Policies", "PolicyName", dict(Scope="Local", PathPrefix="/lists/")), ("get_group", "Users", "UserName", dict(GroupName=three[0])),
            ("list_groups_for_user", "Groups", "GroupName", user), ("list_attached_user_policies", "AttachedPolicies", "PolicyName", user), ("list_attached_role_policies", "AttachedPolicies", "PolicyName", role),
            ("list_user_tags", "Tags", "Key", user), ("list_role_tags", "Tags", "Key", role)):
        equal(names(pages(iam, method, key, 2, **kw), field), three, method)
    equal(pages(iam, "list_user_policies", "PolicyNames", 2, **user), three, "list_user_policies")
    equal(pages(iam, "list_role_policies", "PolicyNames", 2, **role), three, "list_role_policies")
    made = [iam.create_access_key(**user)["AccessKey"]["AccessKeyId"] for _ in range(2)]
    equal(sorted(names(pages(iam, "list_access_keys", "AccessKeyMetadata", 1, **user), "AccessKeyId")), sorted(made), "list_access_keys")
    iam.update_access_key(**user, AccessKeyId=made[0], Status="Inactive")
    equal({k["AccessKeyId"]: k["Status"] for k in iam.list_access_keys(**user)["AccessKeyMetadata"]}, {made[0]: "Inactive", made[1]: "Active"}, "status")
    for _ in range(2):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy("Deny", "s3:*"))
    equal(names(pages(iam, "list_policy_versions", "Versions", 2, PolicyArn=arn), "VersionId"), ["v3", "v2", "v1"], "list_policy_versions")
    actions = ["s3:GetObject", "s3:PutObject", "kms:Encrypt"]
    want = [("s3:GetObject", "allowed"), ("s3:PutObject", "implicitDeny"), ("kms:Encrypt", "implicitDeny")]
    of = lambda results: [(r["EvalActionName"], r["EvalDecision"]) for r in results]
    equal(of(pages(iam, "simulate_principal_policy", "EvaluationResults", 2, PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:user/lists/{three[0]}", ActionNames=actions)), want, "simulate_principal_policy")
    equal(of(pages(iam, "simulate_custom_policy", "EvaluationResults", 2, PolicyInputList=[policy("Allow", "s3:Get*")], ActionNames=actions)), want, "simulate_custom_policy")
    state["policy"] = arn


class Issuer(http.server.BaseHTTPRequestHandler):
    """An OpenID provider: its configuration and its keys (OpenID Connect Discovery §4)."""
    key = ec.generate_private_key(ec.SECP256R1())

    def do_GET(self):
        base = f"http://{self.headers['Host']}"
        if self.path == "/keys":
            doc = {"keys": [dict(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True), kid="k", use="sig", alg="ES256")]}
        else:
            doc = {"issuer": base, "jwks_uri": base + "/keys"}
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(doc).encode())

    def log_message(self, *_):
        pass


def test_web_identity():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"127.0.0.1:{server.server_port}"
    print1, print2 = "a" * 40, "b" * 40
    arn = iam.create_open_id_connect_provider(Url="http://" + host, ClientIDList=["first"], ThumbprintList=[print1], Tags=[{"Key": "a", "Value": "b"}])["OpenIDConnectProviderArn"]
    equal(arn, f"arn:aws:iam::{ACCOUNT}:oidc-provider/{host}", "ARN")
    which = dict(OpenIDConnectProviderArn=arn)
    true(arn in names(iam.list_open_id_connect_providers()["OpenIDConnectProviderList"], "Arn"), "listed")
    iam.add_client_id_to_open_id_connect_provider(**which, ClientID="suite")
    iam.remove_client_id_from_open_id_connect_provider(**which, ClientID="first")
    iam.update_open_id_connect_provider_thumbprint(**which, ThumbprintList=[print2])
    got = iam.get_open_id_connect_provider(**which)
    equal((got["Url"], got["ClientIDList"], got["ThumbprintList"]), (host, ["suite"], [print2]), "provider")
    iam.tag_open_id_connect_provider(**which, Tags=[{"Key": "c", "Value": "d"}, {"Key": "e", "Value": "f"}])
    iam.untag_open_id_connect_provider(**which, TagKeys=["a"])
    equal(pages(iam, "list_open_id_connect_provider_tags", "Tags", 1, **which), [{"Key": "c", "Value": "d"}, {"Key": "e", "Value": "f"}], "tags")
    role = iam.create_role(RoleName="web", AssumeRolePolicyDocument=trust({"Federated": arn}, "sts:AssumeRoleWithWebIdentity"))["Role"]["Arn"]
    iam.put_role_policy(RoleName="web", PolicyName="list", PolicyDocument=policy("Allow", "s3:ListAllMyBuckets"))

    def token(**claims):
        now = datetime.datetime.now(datetime.timezone.utc)
        return jwt.encode({"iss": "http://" + host, "sub": "nurse-7", "aud": "suite", "iat": now, "exp": now + datetime.timedelta(minutes=5), **claims}, Issuer.key, "ES256", {"kid": "k"})

    web = lambda t, r=role: sts.assume_role_with_web_identity(RoleArn=r, RoleSessionName="shift", WebIdentityToken=t)
    out = web(token())
    equal((out["SubjectFromWebIdentityToken"], out["Audience"], out["Provider"]), ("nurse-7", "suite", arn), "who")
    c = out["Credentials"]
    session = dict(aws_access_key_id=c["AccessKeyId"], aws_secret_access_key=c["SecretAccessKey"], aws_session_token=c["SessionToken"])
    equal(client("sts", **session).get_caller_identity()["Arn"], f"arn:aws:sts::{ACCOUNT}:assumed-role/web/shift", "session")
    client("s3", **session).list_buckets()
    fails("AccessDenied", client("iam", **session).list_users, status=403)
    fails("InvalidIdentityToken", web, token(aud="first"), status=400)
    fails("ExpiredTokenException", web, token(exp=datetime.datetime(2020, 1, 1)), status=400)
    fails("InvalidIdentityToken", web, token()[:-6] + "AAAAAA", status=400)
    iam.delete_open_id_connect_provider(**which)
    fails("InvalidIdentityToken", web, token(), status=400)
    server.shutdown()


def test_iam_refusals():
    user, group, role, pol = dict(UserName="nobody-here"), dict(GroupName="nobody-here"), dict(RoleName="nobody-here"), dict(PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/nobody-here")
    provider = dict(OpenIDConnectProviderArn=f"arn:aws:iam::{ACCOUNT}:oidc-provider/never.example")
    doc, name = policy("Allow", "s3:*"), dict(PolicyName="p")
    tags = dict(Tags=[{"Key": "a", "Value": "b"}])
    gone = [(method, kw) for method, kw in (
        ("add_client_id_to_open_id_connect_provider", dict(provider, ClientID="x")), ("add_user_to_group", {**user, **group}), ("attach_group_policy", {**group, **pol}), ("attach_role_policy", {**role, **pol}),
        ("attach_user_policy", {**user, **pol}), ("create_access_key", user), ("create_policy_version", dict(pol, PolicyDocument=doc)), ("delete_access_key", dict(user, AccessKeyId="AKIANEVERMADEHERE")),
        ("delete_group", group), ("delete_group_policy", {**group, **name}), ("delete_policy", pol), ("delete_policy_version", dict(pol, VersionId="v1")),
        ("delete_role", role), ("delete_role_permissions_boundary", role), ("delete_role_policy", {**role, **name}), ("delete_user", user), ("delete_user_permissions_boundary", user),
        ("delete_user_policy", {**user, **name}), ("detach_group_policy", {**group, **pol}), ("detach_role_policy", {**role, **pol}), ("detach_user_policy", {**user, **pol}), ("get_group", group),
        ("get_group_policy", {**group, **name}), ("get_open_id_connect_provider", provider), ("get_policy", pol), ("get_policy_version", dict(pol, VersionId="v1")), ("get_role", role),
        ("get_role_policy", {**role, **name}), ("get_user", user), ("get_user_policy", {**user, **name}), ("list_access_keys", user), ("list_attached_role_policies", role),
        ("list_attached_user_policies", user), ("list_groups_for_user", user), ("list_open_id_connect_provider_tags", provider), ("list_policy_versions", pol), ("list_role_policies", role),
        ("list_role_tags", role), ("list_user_policies", user), ("list_user_tags", user), ("put_group_policy", dict(group, **name, PolicyDocument=doc)),
        ("put_role_permissions_boundary", dict(role, PermissionsBoundary=state["policy"])), ("put_role_policy", dict(role, **name, PolicyDocument=doc)),
        ("put_user_permissions_boundary", dict(user, PermissionsBoundary=state["policy"])), ("put_user_policy", dict(user, **name, PolicyDocument=doc)),
        ("remove_client_id_from_open_id_connect_provider", dict(provider, ClientID="x")), ("remove_user_from_group", {**user, **group}), ("set_default_policy_version", dict(pol, VersionId="v1")),
        ("simulate_principal_policy", dict(PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:user/nobody-here", ActionNames=["s3:GetObject"])), ("tag_open_id_connect_provider", {**provider, **tags}),
        ("tag_role", {**role, **tags}), ("tag_user", {**user, **tags}), ("untag_open_id_connect_provider", dict(provider, TagKeys=["a"])), ("untag_role", dict(role, TagKeys=["a"])),
        ("untag_user", dict(user, TagKeys=["a"])), ("update_access_key", dict(user, AccessKeyId="AKIANEVERMADEHERE", Status="Active")),
        ("update_assume_role_policy", dict(role, PolicyDocument=trust({"AWS": "*"}))), ("update_open_id_connect_provider_thumbprint", dict(provider, ThumbprintList=["c" * 40])))]
    refuses(iam, *[(method, kw, "NoSuchEntity", 404) for method, kw in gone],
            ("create_group", dict(GroupName="lists-0"), "EntityAlreadyExists", 409),
            ("create_open_id_connect_provider", dict(Url="https://u:p@issuer.example"), "InvalidInput", 400),
            ("create_policy", dict(PolicyName="lists-0", Path="/lists/", PolicyDocument=doc), "EntityAlreadyExists", 409),
            ("create_role", dict(RoleName="bad", AssumeRolePolicyDocument="{}"), "MalformedPolicyDocument", 400),
            ("create_user", dict(UserName="lists-0"), "EntityAlreadyExists", 409),
            ("delete_open_id_connect_provider", dict(OpenIDConnectProviderArn=f"arn:aws:iam::{ACCOUNT}:role/not-a-provider"), "ValidationError", 400),
            ("delete_policy_version", dict(PolicyArn=state["policy"], VersionId="v1"), "DeleteConflict", 409),
            ("delete_user", dict(UserName="lists-0"), "DeleteConflict", 409),
            ("list_groups", dict(Marker="no marker of ours"), "ValidationError", 400),
            ("list_policies", dict(MaxItems=1001), "ValidationError", 400),
            ("list_roles", dict(Marker="no marker of ours"), "ValidationError", 400),
            ("list_users", dict(PathPrefix="no slash"), "ValidationError", 400),
            ("put_user_policy", dict(UserName="lists-0", PolicyName="p", PolicyDocument="{not json"), "MalformedPolicyDocument", 400),
            ("simulate_custom_policy", dict(PolicyInputList=["{not json"], ActionNames=["s3:GetObject"]), "InvalidInput", 400))
    refuses(sts,
            ("assume_role", dict(RoleArn="no ARN", RoleSessionName="xx"), "ValidationError", 400),
            ("assume_role_with_web_identity", dict(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/web", RoleSessionName="xx", WebIdentityToken="no.token.atall"), "InvalidIdentityToken", 400),
            ("get_session_token", dict(DurationSeconds=899), "ValidationError", 400))


def test_events_paging():
    three = [f"paged-{n}" for n in range(3)]
    target = f"arn:galen:events:us-east-1:{ACCOUNT}:file/paged"
    for n in three:
        events.put_rule(Name=n, EventPattern=json.dumps({"source": ["paged"]}))
        events.put_targets(Rule=n, Targets=[{"Id": "f", "Arn": target}])
    events.put_targets(Rule=three[0], Targets=[{"Id": n, "Arn": target} for n in ("g", "h")])
    equal(names(pages(events, "list_rules", "Rules", 2, NamePrefix="paged-"), "Name"), three, "rules")
    equal(pages(events, "list_rule_names_by_target", "RuleNames", 2, TargetArn=target), three, "rules of a target")
    equal(names(pages(events, "list_targets_by_rule", "Targets", 2, Rule=three[0]), "Id"), ["f", "g", "h"], "targets")
    for n in three:
        events.remove_targets(Rule=n, Ids=["f", "g", "h"])
        events.delete_rule(Name=n)
    equal(events.list_rules(NamePrefix="paged-")["Rules"], [], "none is left")


def test_events_refusals():
    events.put_rule(Name="full", EventPattern=json.dumps({"source": ["x"]}))
    events.put_targets(Rule="full", Targets=[{"Id": "f", "Arn": f"arn:galen:events:us-east-1:{ACCOUNT}:file/x"}])
    arn, gone, invalid = f"arn:aws:events:us-east-1:{ACCOUNT}:rule/none", "ResourceNotFoundException", "ValidationException"
    refuses(events,
            ("create_event_bus", dict(Name="default"), "ResourceAlreadyExistsException", 400),
            ("delete_event_bus", dict(Name="default"), invalid, 400),
            ("delete_rule", dict(Name="full"), invalid, 400),
            ("delete_rule", dict(Name="x", EventBusName="none"), gone, 400),
            ("describe_event_bus", dict(Name="none"), gone, 400),
            ("describe_rule", dict(Name="none"), gone, 400),
            ("disable_rule", dict(Name="none"), gone, 400),
            ("enable_rule", dict(Name="none"), gone, 400),
            ("list_event_buses", dict(NextToken="no token of ours"), invalid, 400),
            ("list_rule_names_by_target", dict(TargetArn=arn, EventBusName="none"), gone, 400),
            ("list_rules", dict(EventBusName="none"), gone, 400),
            ("list_tags_for_resource", dict(ResourceARN=arn), gone, 400),
            ("list_targets_by_rule", dict(Rule="none"), gone, 400),
            ("put_events", dict(Entries=[]), invalid, 400),
            ("put_rule", dict(Name="full", EventPattern="{"), "InvalidEventPatternException", 400),
            ("put_targets", dict(Rule="none", Targets=[{"Id": "f", "Arn": "http://127.0.0.1:1/"}]), gone, 400),
            ("remove_targets", dict(Rule="none", Ids=["f"]), gone, 400),
            ("tag_resource", dict(ResourceARN=arn, Tags=[{"Key": "a", "Value": "b"}]), gone, 400),
            ("test_event_pattern", dict(EventPattern="{", Event="{}"), "InvalidEventPatternException", 400),
            ("untag_resource", dict(ResourceARN=arn, TagKeys=["a"]), gone, 400))
    events.remove_targets(Rule="full", Ids=["f"])
    events.delete_rule(Name="full")


def test_trail():
    by = lambda k, v: dict(LookupAttributes=[{"AttributeKey": k, "AttributeValue": v}])
    codes = lambda: sorted(json.loads(e["CloudTrailEvent"]).get("errorCode") or "" for e in trail.lookup_events(**by("EventName", "CreateUser"))["Events"])
    wait(lambda: str(codes() == ["", "", "", "EntityAlreadyExists"]), ["True"], what="the audit log has three users made and one refused")
    found = pages(trail, "lookup_events", "Events", 1, **by("EventName", "CreateUser"))
    times = [e["EventTime"] for e in found]
    equal(times, sorted(times, reverse=True), "newest first")
    equal(len({e["EventId"] for e in found}), len(found), "each once")
    refuses(trail,
            ("lookup_events", dict(NextToken="no token of ours"), "InvalidNextTokenException", 400),
            ("lookup_events", dict(EventCategory="insight"), "InvalidEventCategoryException", 400),
            ("lookup_events", dict(MaxResults=51), "InvalidMaxResultsException", 400),
            ("lookup_events", dict(StartTime=time.time(), EndTime=time.time() - 3600), "InvalidTimeRangeException", 400))


main()

"""boto3 against every operation of iam and sts, and events to all kinds of targets."""
import http.server
import json
import threading
import time

from galen import ACCOUNT, client, equal, fails, main, true

iam, sts, events, s3 = client("iam"), client("sts"), client("events"), client("s3")


def policy(effect, action, resource="*", **more):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": action, "Resource": resource, **more}]})


def trust(principal, action="sts:AssumeRole"):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": principal, "Action": action}]})


def test_users_and_groups():
    iam.create_user(UserName="ida", Path="/staff/", Tags=[{"Key": "ward", "Value": "7"}])
    iam.get_waiter("user_exists").wait(UserName="ida")
    iam.tag_user(UserName="ida", Tags=[{"Key": "shift", "Value": "night"}])
    iam.untag_user(UserName="ida", TagKeys=["ward"])
    equal(iam.list_user_tags(UserName="ida")["Tags"], [{"Key": "shift", "Value": "night"}], "tags")
    for n in range(5):
        iam.create_user(UserName=f"page{n}", Path="/paged/")
    pages = list(iam.get_paginator("list_users").paginate(PathPrefix="/paged/", PaginationConfig={"PageSize": 2}))
    equal([u["UserName"] for p in pages for u in p["Users"]], [f"page{n}" for n in range(5)], "paged users")
    equal(len(pages), 3, "pages")
    iam.create_group(GroupName="nurses")
    iam.add_user_to_group(GroupName="nurses", UserName="ida")
    iam.put_group_policy(GroupName="nurses", PolicyName="list", PolicyDocument=policy("Allow", "s3:ListAllMyBuckets"))
    equal(iam.get_group_policy(GroupName="nurses", PolicyName="list")["PolicyDocument"]["Statement"][0]["Effect"], "Allow", "group policy")
    p = iam.create_policy(PolicyName="grp", PolicyDocument=policy("Allow", "s3:GetObject"))["Policy"]
    iam.attach_group_policy(GroupName="nurses", PolicyArn=p["Arn"])
    equal([u["UserName"] for u in iam.get_group(GroupName="nurses")["Users"]], ["ida"], "members")
    equal([g["GroupName"] for g in iam.list_groups_for_user(UserName="ida")["Groups"]], ["nurses"], "groups of a user")
    true("nurses" in [g["GroupName"] for g in iam.list_groups()["Groups"]], "listed")
    k = iam.create_access_key(UserName="ida")["AccessKey"]
    ida = dict(aws_access_key_id=k["AccessKeyId"], aws_secret_access_key=k["SecretAccessKey"])
    client("s3", **ida).list_buckets()
    equal(client("iam", **ida).meta.service_model.service_name, "iam", "client")
    fails("AccessDenied", client("iam", **ida).get_user, status=403)
    iam.put_user_policy(UserName="ida", PolicyName="self", PolicyDocument=policy("Allow", "iam:*", "arn:aws:iam::" + ACCOUNT + ":user/*/${aws:username}"))
    equal(client("iam", **ida).get_user()["User"]["UserName"], "ida", "the caller")
    equal([m["AccessKeyId"] for m in client("iam", **ida).list_access_keys()["AccessKeyMetadata"]], [k["AccessKeyId"]], "own keys")
    fails("AccessDenied", client("iam", **ida).get_user, UserName="page0", status=403)
    t = client("sts", **ida).get_session_token(DurationSeconds=900)["Credentials"]
    temp = dict(aws_access_key_id=t["AccessKeyId"], aws_secret_access_key=t["SecretAccessKey"], aws_session_token=t["SessionToken"])
    client("s3", **temp).list_buckets()
    fails("AccessDenied", client("sts", **temp).get_session_token, status=403)
    iam.put_user_permissions_boundary(UserName="ida", PermissionsBoundary=p["Arn"])
    fails("AccessDenied", client("s3", **ida).list_buckets, status=403)
    fails("AccessDenied", client("s3", **temp).list_buckets, status=403)
    equal(iam.get_user(UserName="ida")["User"]["PermissionsBoundary"]["PermissionsBoundaryArn"], p["Arn"], "boundary")
    iam.delete_user_permissions_boundary(UserName="ida")
    fails("DeleteConflict", iam.delete_user, UserName="ida", status=409)
    fails("DeleteConflict", iam.delete_group, GroupName="nurses", status=409)
    iam.remove_user_from_group(GroupName="nurses", UserName="ida")
    iam.detach_group_policy(GroupName="nurses", PolicyArn=p["Arn"])
    iam.delete_group_policy(GroupName="nurses", PolicyName="list")
    iam.delete_group(GroupName="nurses")
    iam.delete_policy(PolicyArn=p["Arn"])
    equal(iam.get_user_policy(UserName="ida", PolicyName="self")["PolicyDocument"]["Statement"][0]["Action"], "iam:*", "user policy")
    iam.delete_user_policy(UserName="ida", PolicyName="self")
    iam.delete_access_key(UserName="ida", AccessKeyId=k["AccessKeyId"])
    iam.delete_user(UserName="ida")
    fails("InvalidClientTokenId", client("sts", **ida).get_caller_identity, status=403)


def test_managed_policies():
    p = iam.create_policy(PolicyName="managed", Path="/x/", Description="d", PolicyDocument=policy("Allow", "s3:*"), Tags=[{"Key": "a", "Value": "b"}])["Policy"]
    iam.get_waiter("policy_exists").wait(PolicyArn=p["Arn"])
    fails("EntityAlreadyExists", iam.create_policy, PolicyName="managed", PolicyDocument=policy("Allow", "s3:*"), status=409)
    v = iam.create_policy_version(PolicyArn=p["Arn"], PolicyDocument=policy("Deny", "s3:*"), SetAsDefault=True)["PolicyVersion"]
    equal((v["VersionId"], v["IsDefaultVersion"]), ("v2", True), "version")
    equal(iam.get_policy_version(PolicyArn=p["Arn"], VersionId="v2")["PolicyVersion"]["Document"]["Statement"][0]["Effect"], "Deny", "document")
    iam.set_default_policy_version(PolicyArn=p["Arn"], VersionId="v1")
    equal([x["VersionId"] for x in iam.list_policy_versions(PolicyArn=p["Arn"])["Versions"]], ["v2", "v1"], "versions")
    fails("DeleteConflict", iam.delete_policy, PolicyArn=p["Arn"], status=409)
    iam.delete_policy_version(PolicyArn=p["Arn"], VersionId="v2")
    got = iam.get_policy(PolicyArn=p["Arn"])["Policy"]
    equal((got["Description"], got["AttachmentCount"], got["Tags"]), ("d", 0, [{"Key": "a", "Value": "b"}]), "policy")
    true(p["Arn"] in [x["Arn"] for x in iam.list_policies(Scope="Local")["Policies"]], "listed")
    equal(iam.list_policies(Scope="AWS")["Policies"], [], "no AWS managed policies")
    fails("LimitExceeded", iam.create_policy, PolicyName="big", PolicyDocument=policy("Allow", "s3:*", ["arn:aws:s3:::" + "x" * 60 + str(n) for n in range(100)]), status=409)
    iam.delete_policy(PolicyArn=p["Arn"])
    fails("NoSuchEntity", iam.get_policy, PolicyArn=p["Arn"], status=404)


def test_roles_and_simulation():
    iam.create_user(UserName="sim")
    user = iam.get_user(UserName="sim")["User"]["Arn"]
    r = iam.create_role(RoleName="lab", AssumeRolePolicyDocument=trust({"AWS": user}, ["sts:AssumeRole", "sts:TagSession"]), MaxSessionDuration=7200, Tags=[{"Key": "site", "Value": "a"}])["Role"]
    iam.get_waiter("role_exists").wait(RoleName="lab")
    p = iam.create_policy(PolicyName="narrow", PolicyDocument=policy("Allow", "s3:ListAllMyBuckets"))["Policy"]
    iam.attach_role_policy(RoleName="lab", PolicyArn=p["Arn"])
    iam.put_role_policy(RoleName="lab", PolicyName="all", PolicyDocument=policy("Allow", "*"))
    equal(iam.list_role_policies(RoleName="lab")["PolicyNames"], ["all"], "inline")
    equal(iam.list_attached_role_policies(RoleName="lab")["AttachedPolicies"][0]["PolicyName"], "narrow", "attached")
    equal(iam.get_role_policy(RoleName="lab", PolicyName="all")["PolicyDocument"]["Statement"][0]["Action"], "*", "document")
    equal(iam.get_role(RoleName="lab")["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"], {"AWS": user}, "trust")
    k = iam.create_access_key(UserName="sim")["AccessKey"]
    s = client("sts", aws_access_key_id=k["AccessKeyId"], aws_secret_access_key=k["SecretAccessKey"])
    c = s.assume_role(RoleArn=r["Arn"], RoleSessionName="one", PolicyArns=[{"arn": p["Arn"]}], Tags=[{"Key": "site", "Value": "b"}])["Credentials"]
    temp = dict(aws_access_key_id=c["AccessKeyId"], aws_secret_access_key=c["SecretAccessKey"], aws_session_token=c["SessionToken"])
    client("s3", **temp).list_buckets()
    fails("AccessDenied", client("iam", **temp).list_users, status=403)  # the managed session policy narrows
    fails("AccessDenied", s.assume_role, RoleArn=r["Arn"] + "x", RoleSessionName="one", status=403)
    fails("ValidationError", s.assume_role, RoleArn=r["Arn"], RoleSessionName="one", DurationSeconds=7201, status=400)
    fails("MalformedPolicyDocument", s.assume_role, RoleArn=r["Arn"], RoleSessionName="one", Policy="{}", status=400)
    iam.update_assume_role_policy(RoleName="lab", PolicyDocument=trust({"Service": "omics.amazonaws.com"}))
    fails("AccessDenied", s.assume_role, RoleArn=r["Arn"], RoleSessionName="one", status=403)
    iam.put_role_permissions_boundary(RoleName="lab", PermissionsBoundary=p["Arn"])
    iam.delete_role_permissions_boundary(RoleName="lab")
    iam.tag_role(RoleName="lab", Tags=[{"Key": "x", "Value": "y"}])
    iam.untag_role(RoleName="lab", TagKeys=["site"])
    equal(iam.list_role_tags(RoleName="lab")["Tags"], [{"Key": "x", "Value": "y"}], "tags")
    true("lab" in [x["RoleName"] for x in iam.list_roles()["Roles"]], "listed")
    iam.attach_user_policy(UserName="sim", PolicyArn=p["Arn"])
    equal(iam.list_attached_user_policies(UserName="sim")["AttachedPolicies"][0]["PolicyArn"], p["Arn"], "attached")
    e = iam.simulate_principal_policy(PolicySourceArn=user, ActionNames=["s3:ListAllMyBuckets", "s3:GetObject"])["EvaluationResults"]
    equal([x["EvalDecision"] for x in e], ["allowed", "implicitDeny"], "simulated")
    e = iam.simulate_custom_policy(PolicyInputList=[policy("Deny", "s3:*")], ActionNames=["s3:GetObject"])["EvaluationResults"]
    equal(e[0]["EvalDecision"], "explicitDeny", "simulated")
    fails("DeleteConflict", iam.delete_role, RoleName="lab", status=409)
    iam.detach_role_policy(RoleName="lab", PolicyArn=p["Arn"])
    iam.delete_role_policy(RoleName="lab", PolicyName="all")
    iam.delete_role(RoleName="lab")
    fails("AccessDenied", client("s3", **temp).list_buckets, status=403)  # the session of a role that is gone


class Hook(http.server.BaseHTTPRequestHandler):
    got = []

    def do_POST(self):
        Hook.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def eventually(what, fn):
    for _ in range(100):
        v = fn()
        if v:
            return v
        time.sleep(0.1)
    raise AssertionError("never: " + what)


def test_delivery():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    s3.create_bucket(Bucket="event-queue")
    role = iam.create_role(RoleName="deliver", AssumeRolePolicyDocument=trust({"Service": "events.amazonaws.com"}))["Role"]["Arn"]
    iam.put_role_policy(RoleName="deliver", PolicyName="put", PolicyDocument=policy("Allow", "s3:PutObject", "arn:aws:s3:::event-queue/*"))
    bus = events.create_event_bus(Name="lab-bus", Tags=[{"Key": "a", "Value": "b"}])["EventBusArn"]
    equal(events.describe_event_bus(Name="lab-bus")["Arn"], bus, "bus")
    true("default" in [b["Name"] for b in events.list_event_buses()["EventBuses"]], "the default bus")
    arn = events.put_rule(Name="deliver", EventBusName="lab-bus", EventPattern=json.dumps({"source": ["suite.lab"]}))["RuleArn"]
    hook = f"http://127.0.0.1:{server.server_port}/hook"
    fails("ValidationException", events.put_targets, Rule="deliver", EventBusName="lab-bus", Targets=[{"Id": "q", "Arn": "arn:aws:s3:::event-queue/in"}], status=400)
    equal(events.put_targets(Rule="deliver", EventBusName="lab-bus", Targets=[
        {"Id": "hook", "Arn": hook, "InputTransformer": {"InputPathsMap": {"n": "$.detail.n"}, "InputTemplate": '{"number": <n>}'}},
        {"Id": "queue", "Arn": "arn:aws:s3:::event-queue/in", "RoleArn": role},
        {"Id": "log", "Arn": f"arn:galen:events:us-east-1:{ACCOUNT}:file/suite"}])["FailedEntryCount"], 0, "targets")
    equal([t["Id"] for t in events.list_targets_by_rule(Rule="deliver", EventBusName="lab-bus")["Targets"]], ["hook", "log", "queue"], "targets")
    equal(events.list_rule_names_by_target(TargetArn=hook, EventBusName="lab-bus")["RuleNames"], ["deliver"], "rules of a target")
    events.tag_resource(ResourceARN=arn, Tags=[{"Key": "k", "Value": "v"}])
    equal(events.list_tags_for_resource(ResourceARN=arn)["Tags"], [{"Key": "k", "Value": "v"}], "tags")
    events.untag_resource(ResourceARN=arn, TagKeys=["k"])
    r = events.put_events(Entries=[{"Source": "suite.lab", "DetailType": "x", "Detail": '{"n": 41}', "EventBusName": "lab-bus"}])
    key = eventually("the queue has it", lambda: s3.list_objects_v2(Bucket="event-queue", Prefix="in/").get("Contents"))[0]["Key"]
    e = json.loads(s3.get_object(Bucket="event-queue", Key=key)["Body"].read())
    equal((e["id"], e["detail"], e["source"]), (r["Entries"][0]["EventId"], {"n": 41}, "suite.lab"), "queued event")
    eventually("the webhook has it", lambda: Hook.got)
    equal(Hook.got, [{"number": 41}], "webhook")
    events.remove_targets(Rule="deliver", EventBusName="lab-bus", Ids=["hook", "queue", "log"])
    events.delete_rule(Name="deliver", EventBusName="lab-bus")
    events.delete_event_bus(Name="lab-bus")
    server.shutdown()


main()

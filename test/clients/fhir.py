"""FHIR clients that nobody here wrote, on the FHIR routes: fhirpy with a bearer token of the built-in OpenID provider, fhirclient (SMART's models of R4) with signed requests."""
import base64
import json
import urllib.parse
import urllib.request

import boto3
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from fhirclient.client import FHIRClient
from fhirclient.models import auditevent, bundle, humanname, observation, patient
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import ForbiddenError, OperationOutcome, ResourceNotFound

from galen import ACCOUNT, ENDPOINT, REGION, client, equal, http, main, true, waits

hl, iam = client("healthlake"), client("iam")
store = {}


def root():
    return f"{ENDPOINT}/datastore/{store['id']}/r4"


def test_datastore():
    store["id"] = hl.create_fhir_datastore(DatastoreTypeVersion="R4", DatastoreName="foreign")["DatastoreId"]
    waits(hl, "fhir_datastore_active", DatastoreId=store["id"])


def token(name, scope, actions):
    """A token of the server's own provider: a role, a registered client (RFC 7591), and the client credentials grant (RFC 6749 §4.4)."""
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/" + ENDPOINT.split("//")[1]
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Federated": provider}, "Action": "sts:AssumeRoleWithWebIdentity"}]}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}))
    status, _, raw = http("POST", "/oauth2/register", "iam", json.dumps({"client_name": name, "galen_role": role, "scope": scope, "grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_basic"}).encode(),
                          {"Content-Type": "application/json"})
    equal(status, 201, raw)
    c = json.loads(raw)
    basic = base64.b64encode(f"{c['client_id']}:{c['client_secret']}".encode()).decode()
    form = urllib.parse.urlencode({"grant_type": "client_credentials", "scope": scope}).encode()
    answer = urllib.request.urlopen(urllib.request.Request(ENDPOINT + "/oauth2/token", data=form, headers={"Authorization": "Basic " + basic}))
    return json.loads(answer.read())["access_token"]


def test_fhirpy():
    fhir = SyncFHIRClient(root(), authorization="Bearer " + token("fhirpy", "system/*.cruds", "healthlake:*"))
    people = []
    for n, (given, born) in enumerate([("Ann", "1970-02-03"), ("Bea", "1980-02-03"), ("Cat", "1990-02-03")]):
        p = fhir.resource("Patient", name=[{"family": "Foreign", "given": [given]}], birthDate=born, identifier=[{"system": "urn:suite", "value": str(n)}])
        p.save()
        people.append(p)
    true(all(p.id and p["meta"]["versionId"] == "1" for p in people), "ids and versions")
    found = fhir.resources("Patient").search(family="Foreign").sort("-birthdate").limit(2)
    equal([p["name"][0]["given"] for p in found.fetch_all()], [["Cat"], ["Bea"], ["Ann"]], "all pages, sorted")
    equal(len(fhir.resources("Patient").search(birthdate__ge="1980-01-01").fetch_all()), 2, "a prefix of a date")
    p = fhir.resources("Patient").search(identifier="urn:suite|1").get()
    equal(p.id, people[1].id, "one by its identifier")
    p["active"] = True
    p.save()
    p.refresh()
    equal((p["active"], p["meta"]["versionId"]), (True, "2"), "updated")
    obs = fhir.resource("Observation", status="final", code={"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}, subject=p.to_reference(), valueQuantity={"value": 61, "unit": "/min"})
    obs.save()
    equal(obs["subject"].to_resource().id, p.id, "the reference leads back")
    included = fhir.resources("Observation").search(_id=obs.id).include("Observation", "subject").fetch_raw()
    equal(sorted(e.resource.resource_type for e in included["entry"]), ["Observation", "Patient"], "_include")
    try:
        fhir.resource("Patient", gender="unknowable").save()
        raise AssertionError("a code out of its set was taken")
    except OperationOutcome as e:
        true("gender" in str(e), f"the outcome names the element: {e}")
    obs.delete()
    try:
        fhir.reference("Observation", obs.id).to_resource()
        raise AssertionError("a deleted resource was read")
    except ResourceNotFound:
        pass
    narrow = SyncFHIRClient(root(), authorization="Bearer " + token("narrow", "system/Patient.rs", "healthlake:*"))
    equal(len(narrow.resources("Patient").search(family="Foreign").fetch_all()), 3, "within the scope")
    try:
        narrow.resource("Patient", name=[{"family": "No"}]).save()
        raise AssertionError("a token without the scope wrote")
    except ForbiddenError as e:
        true("OperationOutcome" in str(e), str(e))


class Sign(requests.auth.AuthBase):
    def __call__(self, r):
        req = AWSRequest(method=r.method, url=r.url, data=r.body or b"", headers={k: v for k, v in r.headers.items() if k.lower() in ("content-type", "host")})
        SigV4Auth(boto3.Session().get_credentials(), "healthlake", REGION).add_auth(req)
        r.headers.update(dict(req.headers))
        return r


def test_fhirclient():
    smart = FHIRClient({"app_id": "suite", "api_base": root()})
    server = smart.server
    server.session.auth = Sign()
    equal(server.capabilityStatement.fhirVersion, "4.0.1", "the capability statement is one of R4, by the client's models")
    p = patient.Patient({"id": "smart-1", "name": [{"family": "Smart", "given": ["Eve"]}], "birthDate": "1999-12-31"})
    p.update(server)
    back = patient.Patient.read("smart-1", server)
    equal((back.name[0].family, back.birthDate.isostring, back.meta.versionId), ("Smart", "1999-12-31", "1"), "read by the client's models")
    back.name.append(humanname.HumanName({"family": "Married", "use": "maiden"}))
    back.update(server)
    found = patient.Patient.where({"family": "Married"}).perform_resources(server)
    equal([(x.id, len(x.name)) for x in found], [("smart-1", 2)], "searched")
    o = observation.Observation({"status": "final", "code": {"text": "pulse"}, "subject": {"reference": "Patient/smart-1"}, "effectiveDateTime": "2024-05-06T07:08:09Z", "valueQuantity": {"value": 61.5, "unit": "/min"}})
    made = o.create(server)
    read = observation.Observation.read(made["id"], server)
    equal((read.valueQuantity.value, read.as_json()["effectiveDateTime"]), (61.5, "2024-05-06T07:08:09Z"), "observation")
    equal(read.subject.resolved(patient.Patient).id, "smart-1", "the reference resolves")
    batch = bundle.Bundle({"type": "transaction", "entry": [{"resource": {"resourceType": "Patient", "name": [{"family": f"Batch{n}"}]}, "request": {"method": "POST", "url": "Patient"}} for n in range(3)]})
    answer = server.post_json("", batch.as_json()).json()
    equal([e["response"]["status"][:3] for e in bundle.Bundle(answer).as_json()["entry"]], ["201"] * 3, "transaction")
    whole = bundle.Bundle(server.request_json("Patient/smart-1/$everything"))
    equal(sorted(e.resource.resource_type for e in whole.entry), ["Observation", "Patient"], "$everything")
    read.delete(server)


def test_auditview():
    """The audit log of the data store, as AuditEvents, by the client's own models."""
    client_ = FHIRClient({"app_id": "suite", "api_base": f"{ENDPOINT}/datastore/{store['id']}/audit/r4"})
    server = client_.server
    server.session.auth = Sign()
    equal([r.type for r in server.capabilityStatement.rest[0].resource], ["AuditEvent"], "its capability statement")
    seen = auditevent.AuditEvent.where({"patient": "Patient/smart-1", "_count": "2"}).perform(server)
    equal([r.relation for r in seen.link], ["self", "next"], "pages")
    of = auditevent.AuditEvent.where({"patient": "Patient/smart-1", "action": "U"}).perform_resources(server)
    equal([(e.subtype[0].code, e.outcome, e.entity[0].what.reference) for e in of], [("update", "0", "Patient/smart-1")] * 2, "who changed the patient")
    one = auditevent.AuditEvent.read(of[0].id, server)
    equal(one.as_json(), of[0].as_json(), "read by its id")
    true(one.agent[0].requestor and one.agent[0].who.identifier.value.startswith("arn:aws:iam::"), "the caller")
    asked = auditevent.AuditEvent.where({"date": "ge2020", "subtype": "search-type"}).perform_resources(server)
    true(all(e.entity[0].name == "Patient" and not e.entity[0].query for e in asked[:1]), "a search without what it asked for")
    status, _, _ = http("GET", f"/datastore/{store['id']}/audit/r4/AuditEvent/nobody", "healthlake", b"", {})
    equal(status, 404, "an event that is not there")


main()

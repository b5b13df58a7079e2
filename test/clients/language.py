"""boto3 against comprehendmedical (JSON 1.1 here; CBOR is tested from Go), transcribe's medical scribe and connecthealth."""
import json
import os

from galen import client, equal, fails, main, role, true, wait

cm, tr, ch, s3 = client("comprehendmedical"), client("transcribe"), client("connecthealth"), client("s3")


def test_entities():
    text = "Patient denies chest pain. Started on metformin 500 mg twice daily for type 2 diabetes."
    found = cm.detect_entities_v2(Text=text)["Entities"]
    for e in found:
        equal(text[e["BeginOffset"]:e["EndOffset"]], e["Text"], "offsets")
    by = {e["Text"].lower(): e for e in found}
    true("NEGATION" in [t["Name"] for t in by["chest pain"]["Traits"]], "chest pain is negated")
    equal(by["metformin"]["Category"], "MEDICATION", "metformin")
    attributes = {a["Type"]: a["Text"] for a in by["metformin"]["Attributes"]}
    true("500 mg" in (attributes.get("DOSAGE") or attributes.get("STRENGTH", "")), f"dose in {attributes}")
    phi = cm.detect_phi(Text="Mr. John Smith, phone 555-123-4567, was seen on 01/02/2024.")["Entities"]
    true({"NAME", "PHONE_OR_FAX", "DATE"} <= {e["Type"] for e in phi}, f"PHI {[e['Type'] for e in phi]}")
    fails("TextSizeLimitExceededException", cm.detect_entities_v2, Text="x" * 20001, status=400)
    fails("InvalidRequestException", cm._make_api_call, "DetectEntitiesV2", {"Text": ""}, status=400)


def test_scribe_from_transcript():
    s3.create_bucket(Bucket="scribe-in")
    s3.create_bucket(Bucket="scribe-out")
    turns = [("CLINICIAN_0", "What brings you in today?"), ("PATIENT_0", "I have had chest pain for two days."), ("CLINICIAN_0", "Any fever?"), ("PATIENT_0", "No."),
             ("CLINICIAN_0", "I will start you on lisinopril ten milligrams and see you in two weeks.")]
    doc = {"Conversation": {"ConversationId": "c1", "LanguageCode": "en-US", "TranscriptSegments": [
        {"SegmentId": f"s{i}", "Content": t, "ParticipantDetails": {"ParticipantRole": r}, "BeginAudioTime": i * 3.0, "EndAudioTime": i * 3.0 + 2.5} for i, (r, t) in enumerate(turns)]}}
    s3.put_object(Bucket="scribe-in", Key="t.json", Body=json.dumps(doc).encode())
    arn = role("scribe", "transcribe.amazonaws.com")
    tr.start_medical_scribe_job(MedicalScribeJobName="suite-1", Media={"MediaFileUri": "s3://scribe-in/t.json"}, OutputBucketName="scribe-out", DataAccessRoleArn=arn,
                                Settings={"ShowSpeakerLabels": True, "MaxSpeakerLabels": 2})
    get = lambda: tr.get_medical_scribe_job(MedicalScribeJobName="suite-1")["MedicalScribeJob"]
    wait(lambda: get()["MedicalScribeJobStatus"], ["COMPLETED"], ["FAILED"])
    out = get()["MedicalScribeOutput"]
    load = lambda uri: json.loads(s3.get_object(Bucket="scribe-out", Key=uri.split("scribe-out/")[-1])["Body"].read())
    segments = {s["SegmentId"] for s in load(out["TranscriptFileUri"])["Conversation"]["TranscriptSegments"]}
    note = load(out["ClinicalDocumentUri"])["ClinicalDocumentation"]["Sections"]
    lines = [s for sec in note for s in sec["Summary"]]
    true(len(lines) > 0, "a note with lines")
    for line in lines:
        true(line["EvidenceLinks"] and all(e["SegmentId"] in segments for e in line["EvidenceLinks"]), f"evidence of {line}")
    true("chest pain" in json.dumps(note).lower(), "the complaint is in the note")
    fails("ConflictException", tr.start_medical_scribe_job, MedicalScribeJobName="suite-1", Media={"MediaFileUri": "s3://scribe-in/t.json"}, OutputBucketName="scribe-out", DataAccessRoleArn=arn,
          Settings={"ShowSpeakerLabels": True, "MaxSpeakerLabels": 2})
    true("suite-1" in [j["MedicalScribeJobName"] for j in tr.list_medical_scribe_jobs()["MedicalScribeJobSummaries"]], "listed")
    tr.delete_medical_scribe_job(MedicalScribeJobName="suite-1")
    fails("NotFoundException", tr.get_medical_scribe_job, MedicalScribeJobName="suite-1")


def test_domains():
    d = ch.create_domain(name="suite", tags={"a": "b"})
    equal(ch.get_domain(domainId=d["domainId"])["status"], "ACTIVE", "domain")
    true(d["domainId"] in [x["domainId"] for x in ch.list_domains()["domains"]], "listed")
    s = ch.create_subscription(domainId=d["domainId"])
    sid = s["subscriptionId"]
    equal(ch.get_subscription(domainId=d["domainId"], subscriptionId=sid)["subscription"]["status"], "ACTIVE", "subscription")
    equal(ch.deactivate_subscription(domainId=d["domainId"], subscriptionId=sid)["subscription"]["status"], "INACTIVE", "deactivated")
    equal(ch.activate_subscription(domainId=d["domainId"], subscriptionId=sid)["subscription"]["status"], "ACTIVE", "activated")
    true(sid in [x["subscriptionId"] for x in ch.list_subscriptions(domainId=d["domainId"])["subscriptions"]], "subscriptions listed")
    equal(ch.list_tags_for_resource(resourceArn=d["arn"])["tags"], {"a": "b"}, "tags")
    ch.tag_resource(resourceArn=d["arn"], tags={"c": "d"})
    ch.untag_resource(resourceArn=d["arn"], tagKeys=["a"])
    equal(ch.list_tags_for_resource(resourceArn=d["arn"])["tags"], {"c": "d"}, "tags changed")
    fails("ResourceNotFoundException", ch.get_domain, domainId="hai-" + "0" * 20, status=404)
    ch.delete_domain(domainId=d["domainId"])


main()

// The AWS SDK for JavaScript v3 against a running Galen.
//
// disableHostPrefix is the switch that keeps the SDK from putting "runtime-" and the like before the host. The last tests leave it off, with a resolver that
// sends every name to this machine: then the server sees the prefixes, and buckets in the host's name.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { Agent } from "node:http";
import { gunzipSync, gzipSync } from "node:zlib";
import { HealthLakeClient, CreateFHIRDatastoreCommand, DescribeFHIRDatastoreCommand, ListFHIRDatastoresCommand, DeleteFHIRDatastoreCommand } from "@aws-sdk/client-healthlake";
import { MedicalImagingClient, CreateDatastoreCommand, GetDatastoreCommand, SearchImageSetsCommand, paginateListDatastores } from "@aws-sdk/client-medical-imaging";
import { ComprehendMedicalClient, DetectEntitiesV2Command } from "@aws-sdk/client-comprehendmedical";
import { TranscribeClient, ListMedicalScribeJobsCommand, GetMedicalScribeJobCommand, StartMedicalScribeJobCommand, DeleteMedicalScribeJobCommand } from "@aws-sdk/client-transcribe";
import { IAMClient, CreateRoleCommand, GetRoleCommand, PutRolePolicyCommand, CreateUserCommand, paginateListUsers } from "@aws-sdk/client-iam";
import { EventBridgeClient, PutRuleCommand, DescribeRuleCommand, PutEventsCommand, ListRulesCommand, CreateEventBusCommand, TestEventPatternCommand } from "@aws-sdk/client-eventbridge";
import { CloudTrailClient, paginateLookupEvents } from "@aws-sdk/client-cloudtrail";
import { AthenaClient, StartQueryExecutionCommand, GetQueryExecutionCommand, GetQueryResultsCommand, ListDatabasesCommand } from "@aws-sdk/client-athena";
import { S3Client, CreateBucketCommand, PutObjectCommand, GetObjectCommand, CopyObjectCommand, DeleteObjectsCommand, paginateListObjectsV2, waitUntilObjectExists } from "@aws-sdk/client-s3";
import { KMSClient, CreateKeyCommand, EncryptCommand, DecryptCommand, DescribeKeyCommand } from "@aws-sdk/client-kms";
import { STSClient, GetCallerIdentityCommand, AssumeRoleCommand } from "@aws-sdk/client-sts";
import { OmicsClient, CreateSequenceStoreCommand, GetSequenceStoreCommand, CreateMultipartReadSetUploadCommand, UploadReadSetPartCommand, CompleteMultipartReadSetUploadCommand,
  GetReadSetMetadataCommand, GetReadSetCommand, paginateListSequenceStores, ListReadSetsCommand } from "@aws-sdk/client-omics";

const config = { endpoint: process.env.GALEN_ENDPOINT, region: "us-east-1", disableHostPrefix: true, maxAttempts: 1,
  credentials: { accessKeyId: process.env.AWS_ACCESS_KEY_ID, secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY } };

const until = async (what, read, want) => {
  for (let i = 0; i < 300; i++) {
    const got = await read();
    if (got === want) return;
    await new Promise((r) => setTimeout(r, 100));
  }
  assert.fail(`${what} never became ${want}`);
};

let passed = 0;
const test = async (name, fn) => { await fn(); passed++; console.error(`ok ${name}`); };

await test("healthlake", async () => {
  const c = new HealthLakeClient(config);
  const { DatastoreId } = await c.send(new CreateFHIRDatastoreCommand({ DatastoreTypeVersion: "R4", DatastoreName: "js" }));
  await until("data store", async () => (await c.send(new DescribeFHIRDatastoreCommand({ DatastoreId }))).DatastoreProperties.DatastoreStatus, "ACTIVE");
  const props = (await c.send(new DescribeFHIRDatastoreCommand({ DatastoreId }))).DatastoreProperties;
  assert.ok(props.CreatedAt instanceof Date && Math.abs(Date.now() - props.CreatedAt) < 600_000, "CreatedAt is a date of now");
  assert.ok((await c.send(new ListFHIRDatastoresCommand({}))).DatastorePropertiesList.some((d) => d.DatastoreId === DatastoreId));
  await assert.rejects(c.send(new DescribeFHIRDatastoreCommand({ DatastoreId: "0".repeat(32) })), { name: "ResourceNotFoundException" });
  await c.send(new DeleteFHIRDatastoreCommand({ DatastoreId }));
});

await test("medical-imaging", async () => {
  const c = new MedicalImagingClient(config);
  const { datastoreId } = await c.send(new CreateDatastoreCommand({ datastoreName: "js" }));
  await until("data store", async () => (await c.send(new GetDatastoreCommand({ datastoreId }))).datastoreProperties.datastoreStatus, "ACTIVE");
  const found = await c.send(new SearchImageSetsCommand({ datastoreId, searchCriteria: {} }));
  assert.deepEqual(found.imageSetsMetadataSummaries, []);
  await c.send(new CreateDatastoreCommand({ datastoreName: "js-2" }));
  const names = [];
  for await (const page of paginateListDatastores({ client: c, pageSize: 1 }, {})) names.push(...page.datastoreSummaries.map((d) => d.datastoreName));
  assert.deepEqual(names.sort(), ["js", "js-2"]);
  await assert.rejects(c.send(new GetDatastoreCommand({ datastoreId: "0".repeat(32) })), { name: "ResourceNotFoundException" });
});

await test("comprehendmedical", async () => {
  const c = new ComprehendMedicalClient(config);
  const { Entities } = await c.send(new DetectEntitiesV2Command({ Text: "She takes aspirin 81 mg daily." }));
  assert.ok(Entities.some((e) => e.Text.toLowerCase() === "aspirin" && e.Category === "MEDICATION"));
});

await test("s3", async () => {
  const c = new S3Client({ ...config, forcePathStyle: true });
  await c.send(new CreateBucketCommand({ Bucket: "js-bucket" }));
  const body = randomBytes(300_000);
  const put = await c.send(new PutObjectCommand({ Bucket: "js-bucket", Key: "a/b c.bin", Body: body, Metadata: { who: "js" } }));
  await waitUntilObjectExists({ client: c, maxWaitTime: 10 }, { Bucket: "js-bucket", Key: "a/b c.bin" });
  const got = await c.send(new GetObjectCommand({ Bucket: "js-bucket", Key: "a/b c.bin" }));
  assert.equal(got.ETag, put.ETag);
  assert.equal(got.Metadata.who, "js");
  assert.ok(body.equals(await got.Body.transformToByteArray()), "the bytes come back, their checksum verified by the SDK");
  assert.equal(put.ChecksumCRC32, got.ChecksumCRC32);
  const part = await c.send(new GetObjectCommand({ Bucket: "js-bucket", Key: "a/b c.bin", Range: "bytes=10-19" }));
  assert.ok(body.subarray(10, 20).equals(await part.Body.transformToByteArray()));
  for (const n of [1, 2, 3]) await c.send(new CopyObjectCommand({ Bucket: "js-bucket", Key: `copy/${n}`, CopySource: "js-bucket/a/b%20c.bin" }));
  const keys = [];
  for await (const page of paginateListObjectsV2({ client: c, pageSize: 2 }, { Bucket: "js-bucket", Prefix: "copy/" })) keys.push(...page.Contents.map((o) => o.Key));
  assert.deepEqual(keys, ["copy/1", "copy/2", "copy/3"]);
  const gone = await c.send(new DeleteObjectsCommand({ Bucket: "js-bucket", Delete: { Objects: keys.map((Key) => ({ Key })) } }));
  assert.equal(gone.Deleted.length, 3);
  await assert.rejects(c.send(new GetObjectCommand({ Bucket: "js-bucket", Key: "copy/1" })), { name: "NoSuchKey" });
});

await test("kms", async () => {
  const c = new KMSClient(config);
  const { KeyMetadata } = await c.send(new CreateKeyCommand({ Description: "js" }));
  const EncryptionContext = { patient: "p1" };
  const { CiphertextBlob } = await c.send(new EncryptCommand({ KeyId: KeyMetadata.KeyId, Plaintext: Buffer.from("secret"), EncryptionContext }));
  const opened = await c.send(new DecryptCommand({ CiphertextBlob, EncryptionContext }));
  assert.equal(Buffer.from(opened.Plaintext).toString(), "secret");
  await assert.rejects(c.send(new DecryptCommand({ CiphertextBlob })), { name: "InvalidCiphertextException" });
  assert.equal((await c.send(new DescribeKeyCommand({ KeyId: KeyMetadata.Arn }))).KeyMetadata.Description, "js");
});

await test("sts", async () => {
  const c = new STSClient(config);
  assert.equal((await c.send(new GetCallerIdentityCommand({}))).Arn, "arn:aws:iam::000000000000:root");
  await assert.rejects(c.send(new AssumeRoleCommand({ RoleArn: "arn:aws:iam::000000000000:role/none", RoleSessionName: "js" })), { name: "AccessDenied" });
  const wrong = new STSClient({ ...config, credentials: { ...config.credentials, secretAccessKey: "wrong" } });
  await assert.rejects(wrong.send(new GetCallerIdentityCommand({})), { name: "SignatureDoesNotMatch" });
});

const policy = (Effect, Action, more) => JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect, Action, ...more }] });

await test("iam", async () => {
  const c = new IAMClient(config);
  const trust = policy("Allow", "sts:AssumeRole", { Principal: { Service: "transcribe.amazonaws.com" } });
  const { Role } = await c.send(new CreateRoleCommand({ RoleName: "js", AssumeRolePolicyDocument: trust, Tags: [{ Key: "made", Value: "js" }] }));
  await c.send(new PutRolePolicyCommand({ RoleName: "js", PolicyName: "all", PolicyDocument: policy("Allow", "s3:*", { Resource: "*" }) }));
  const got = (await c.send(new GetRoleCommand({ RoleName: "js" }))).Role;
  assert.equal(got.Arn, Role.Arn);
  assert.equal(decodeURIComponent(got.AssumeRolePolicyDocument), trust);
  assert.ok(got.CreateDate instanceof Date);
  for (const UserName of ["js-1", "js-2", "js-3"]) await c.send(new CreateUserCommand({ UserName, Path: "/js/" }));
  const names = [];
  for await (const page of paginateListUsers({ client: c, pageSize: 2 }, { PathPrefix: "/js/" })) names.push(...page.Users.map((u) => u.UserName));
  assert.deepEqual(names, ["js-1", "js-2", "js-3"]);
  await assert.rejects(c.send(new GetRoleCommand({ RoleName: "none" })), { name: "NoSuchEntityException" });
  await assert.rejects(c.send(new CreateRoleCommand({ RoleName: "bad", AssumeRolePolicyDocument: "{" })), { name: "MalformedPolicyDocumentException" });
});

await test("transcribe", async () => {
  const c = new TranscribeClient(config);
  const s3 = new S3Client({ ...config, forcePathStyle: true });
  await s3.send(new PutObjectCommand({ Bucket: "js-bucket", Key: "visit.txt", Body: "CLINICIAN: What brings you in?\nPATIENT: I have had a headache for two days.\n" }));
  const MedicalScribeJobName = "js";
  const { MedicalScribeJob } = await c.send(new StartMedicalScribeJobCommand({ MedicalScribeJobName, Media: { MediaFileUri: "s3://js-bucket/visit.txt" }, OutputBucketName: "js-bucket",
    DataAccessRoleArn: "arn:aws:iam::000000000000:role/js", Settings: { ShowSpeakerLabels: true, MaxSpeakerLabels: 2 } }));
  assert.ok(MedicalScribeJob.CreationTime instanceof Date);
  const job = async () => (await c.send(new GetMedicalScribeJobCommand({ MedicalScribeJobName }))).MedicalScribeJob;
  await until("scribe job", async () => (await job()).MedicalScribeJobStatus, "COMPLETED");
  const Key = (await job()).MedicalScribeOutput.ClinicalDocumentUri.replace(/^.*js-bucket\//, "");
  assert.match(await (await s3.send(new GetObjectCommand({ Bucket: "js-bucket", Key }))).Body.transformToString(), /headache/);
  assert.deepEqual((await c.send(new ListMedicalScribeJobsCommand({}))).MedicalScribeJobSummaries.map((j) => j.MedicalScribeJobName), [MedicalScribeJobName]);
  await c.send(new DeleteMedicalScribeJobCommand({ MedicalScribeJobName }));
  await assert.rejects(c.send(new GetMedicalScribeJobCommand({ MedicalScribeJobName })), { name: "NotFoundException" });
});

await test("eventbridge", async () => {
  const c = new EventBridgeClient(config);
  const EventPattern = JSON.stringify({ source: ["js"], detail: { n: [{ numeric: [">", 3] }] } });
  const { RuleArn } = await c.send(new PutRuleCommand({ Name: "js", EventPattern }));
  assert.equal((await c.send(new DescribeRuleCommand({ Name: "js" }))).Arn, RuleArn);
  const put = await c.send(new PutEventsCommand({ Entries: [{ Source: "js", DetailType: "Test", Detail: JSON.stringify({ n: 4 }), Time: new Date() }, { Source: "js", DetailType: "Test", Detail: "no JSON" }] }));
  assert.equal(put.FailedEntryCount, 1);
  assert.equal(put.Entries[1].ErrorCode, "MalformedDetail");
  assert.deepEqual((await c.send(new ListRulesCommand({ NamePrefix: "j" }))).Rules.map((r) => r.Name), ["js"]);
  const event = (n) => JSON.stringify({ id: "1", account: "000000000000", source: "js", time: "2026-01-01T00:00:00Z", region: "us-east-1", resources: [], "detail-type": "Test", detail: { n } });
  for (const [n, want] of [[4, true], [3, false]]) assert.equal((await c.send(new TestEventPatternCommand({ EventPattern, Event: event(n) }))).Result, want);
  await assert.rejects(c.send(new CreateEventBusCommand({ Name: "default" })), { name: "ResourceAlreadyExistsException" });
  await assert.rejects(c.send(new PutRuleCommand({ Name: "bad", EventPattern: "{" })), { name: "InvalidEventPatternException" });
});

await test("cloudtrail", async () => {
  const c = new CloudTrailClient(config);
  const calls = async () => {
    const names = [];
    for await (const page of paginateLookupEvents({ client: c, pageSize: 2 }, { LookupAttributes: [{ AttributeKey: "EventName", AttributeValue: "CreateUser" }] }))
      names.push(...page.Events.map((e) => JSON.parse(e.CloudTrailEvent).eventName));
    return names.join();
  };
  await until("the calls", calls, "CreateUser,CreateUser,CreateUser");
});

await test("athena", async () => {
  const c = new AthenaClient(config);
  const ask = async (QueryString) => {
    const { QueryExecutionId } = await c.send(new StartQueryExecutionCommand({ QueryString, ResultConfiguration: { OutputLocation: "s3://js-bucket/athena/" } }));
    const state = async () => (await c.send(new GetQueryExecutionCommand({ QueryExecutionId }))).QueryExecution.Status.State;
    await until("query", async () => ["SUCCEEDED", "FAILED"].includes(await state()), true);
    return { QueryExecutionId, state: await state() };
  };
  const { QueryExecutionId, state } = await ask("SELECT 6*7 AS answer, 'js' AS who");
  assert.equal(state, "SUCCEEDED");
  const { ResultSet } = await c.send(new GetQueryResultsCommand({ QueryExecutionId }));
  assert.deepEqual(ResultSet.Rows.map((r) => r.Data.map((d) => d.VarCharValue)), [["answer", "who"], ["42", "js"]]);
  assert.equal((await ask("SELECT nothing FROM nowhere")).state, "FAILED");
  assert.ok(Array.isArray((await c.send(new ListDatabasesCommand({ CatalogName: "AwsDataCatalog" }))).DatabaseList));
  await assert.rejects(c.send(new GetQueryResultsCommand({ QueryExecutionId: "00000000-0000-0000-0000-000000000000" })), { name: "InvalidRequestException" });
});

const omics = async (c, name) => {
  const { id } = await c.send(new CreateSequenceStoreCommand({ name }));
  await until("sequence store", async () => (await c.send(new GetSequenceStoreCommand({ id }))).status, "ACTIVE");
  const reads = Buffer.from(Array.from({ length: 500 }, (_, i) => `@r${i}\n${"ACGT".repeat(12)}\n+\n${"I".repeat(48)}\n`).join(""));
  const { uploadId } = await c.send(new CreateMultipartReadSetUploadCommand({ sequenceStoreId: id, sourceFileType: "FASTQ", subjectId: "s", sampleId: "t", name }));
  const packed = gzipSync(reads);
  const up = await c.send(new UploadReadSetPartCommand({ sequenceStoreId: id, uploadId, partSource: "SOURCE1", partNumber: 1, payload: packed }));
  assert.equal(up.checksum, createHash("sha256").update(packed).digest("base64"));
  const { readSetId } = await c.send(new CompleteMultipartReadSetUploadCommand({ sequenceStoreId: id, uploadId, parts: [{ partNumber: 1, partSource: "SOURCE1", checksum: up.checksum }] }));
  const meta = () => c.send(new GetReadSetMetadataCommand({ sequenceStoreId: id, id: readSetId }));
  await until("read set", async () => (await meta()).status, "ACTIVE");
  assert.equal((await meta()).etag.source1, createHash("md5").update(reads).digest("hex"));
  const got = await c.send(new GetReadSetCommand({ sequenceStoreId: id, id: readSetId, partNumber: 1 }));
  assert.ok(reads.equals(gunzipSync(await got.payload.transformToByteArray())), "the reads come back");
  assert.equal((await c.send(new ListReadSetsCommand({ sequenceStoreId: id }))).readSets[0].id, readSetId);
  await assert.rejects(c.send(new GetReadSetMetadataCommand({ sequenceStoreId: id, id: "9999999999" })), { name: "ResourceNotFoundException" });
};

await test("omics", async () => {
  const c = new OmicsClient(config);
  await omics(c, "js");
  await c.send(new CreateSequenceStoreCommand({ name: "js-2" }));
  const names = [];
  for await (const page of paginateListSequenceStores({ client: c, pageSize: 1 }, {})) names.push(...page.sequenceStores.map((s) => s.name));
  assert.deepEqual(names.sort(), ["js", "js-2"]);
});

// Without the switch: the names that the SDK makes must resolve, and the server must not mind them.
const { port } = new URL(process.env.GALEN_ENDPOINT);
const asked = new Set();
const lookup = (host, options, done) => { asked.add(host); options.all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4); };
const prefixed = { ...config, endpoint: `http://localhost:${port}`, disableHostPrefix: false, requestHandler: { httpAgent: new Agent({ lookup }) } };

await test("host prefixes", async () => {
  const mi = new MedicalImagingClient(prefixed);
  const { datastoreId } = await mi.send(new CreateDatastoreCommand({ datastoreName: "prefixed" }));
  await until("data store", async () => (await mi.send(new GetDatastoreCommand({ datastoreId }))).datastoreProperties.datastoreStatus, "ACTIVE");
  assert.deepEqual((await mi.send(new SearchImageSetsCommand({ datastoreId, searchCriteria: {} }))).imageSetsMetadataSummaries, []);
  await omics(new OmicsClient(prefixed), "prefixed");
  for (const host of ["runtime-localhost", "control-storage-localhost", "storage-localhost"]) assert.ok(asked.has(host), `the SDK asked for ${[...asked]}, not for ${host}`);
});

await test("a bucket in the host's name", async () => {
  const c = new S3Client(prefixed);
  await c.send(new PutObjectCommand({ Bucket: "js-bucket", Key: "virtual", Body: "hosted" }));
  assert.equal(await (await c.send(new GetObjectCommand({ Bucket: "js-bucket", Key: "virtual" }))).Body.transformToString(), "hosted");
  assert.ok(asked.has("js-bucket.localhost"), `it asked for ${[...asked]}`);
});

console.log(JSON.stringify({ suite: "js", passed }));

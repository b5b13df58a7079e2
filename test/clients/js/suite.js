// The AWS SDK for JavaScript v3 against a running Galen: disableHostPrefix is the switch that keeps the SDK from putting "runtime-" before the host.
import assert from "node:assert/strict";
import { HealthLakeClient, CreateFHIRDatastoreCommand, DescribeFHIRDatastoreCommand, ListFHIRDatastoresCommand, DeleteFHIRDatastoreCommand } from "@aws-sdk/client-healthlake";
import { MedicalImagingClient, CreateDatastoreCommand, GetDatastoreCommand, SearchImageSetsCommand, ListDatastoresCommand } from "@aws-sdk/client-medical-imaging";
import { ComprehendMedicalClient, DetectEntitiesV2Command } from "@aws-sdk/client-comprehendmedical";
import { TranscribeClient, ListMedicalScribeJobsCommand, GetMedicalScribeJobCommand } from "@aws-sdk/client-transcribe";

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
  assert.ok((await c.send(new ListDatastoresCommand({}))).datastoreSummaries.length >= 1);
});

await test("comprehendmedical", async () => {
  const c = new ComprehendMedicalClient(config);
  const { Entities } = await c.send(new DetectEntitiesV2Command({ Text: "She takes aspirin 81 mg daily." }));
  assert.ok(Entities.some((e) => e.Text.toLowerCase() === "aspirin" && e.Category === "MEDICATION"));
});

await test("transcribe", async () => {
  const c = new TranscribeClient(config);
  assert.ok(Array.isArray((await c.send(new ListMedicalScribeJobsCommand({}))).MedicalScribeJobSummaries));
  await assert.rejects(c.send(new GetMedicalScribeJobCommand({ MedicalScribeJobName: "none" })), { name: "NotFoundException" });
});

console.log(JSON.stringify({ suite: "js", passed }));

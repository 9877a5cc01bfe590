// Opens the console by its address, looks at each page with axe, works through the review by keyboard, and prints what
// was seen as JSON.
import { readFileSync } from "node:fs";
import chromium from "@sparticuz/chromium";
import puppeteer from "puppeteer-core";

const axe = readFileSync("node_modules/axe-core/axe.min.js", "utf8");
const browser = await puppeteer.launch({
  executablePath: await chromium.executablePath(),
  args: [...chromium.args, "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
  headless: "shell",
  timeout: 0,
});
const page = await browser.newPage();
page.setDefaultTimeout(0); // Whoever runs this waits long enough for a machine that is busy.
const complaints = [];
page.on("console", (message) => complaints.push(message.text()));
page.on("pageerror", (error) => complaints.push(error.message));

await page.goto(process.argv[2]);
const address = page.url();
const cookie = await page.evaluate(() => document.cookie);
const findings = {};
// As a phone and as a desk show it, with every fold open.
const look = async (what) => {
  await page.evaluate(axe);
  await page.evaluate(() => document.querySelectorAll("details").forEach((fold) => (fold.open = true)));
  findings[what] = [];
  for (const width of [390, 1200]) {
    await page.setViewport({ width, height: 900 });
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (over > 0) findings[what].push(`${over} pixels wider than ${width}`);
    const found = await page.evaluate(() => axe.run({ resultTypes: ["violations"] }));
    findings[what].push(...found.violations
      .filter((one) => ["serious", "critical"].includes(one.impact))
      .map((one) => `${width}: ${one.id}: ${one.nodes.map((node) => node.html.slice(0, 200)).join(" ")}`));
  }
};
const open = async (path) => page.goto(new URL(path, address).href);
const press = async (key) => Promise.all([page.waitForNavigation(), page.keyboard.press(key)]);
const shown = () => page.evaluate(() => document.querySelector("input[name=decision]")?.value ?? "");

await look("overview");
// What has changed is put in by the script, and the focus stays.
await page.focus("main a");
await page.evaluate(() => {
  document.querySelector("h1").textContent = "old";
  document.dispatchEvent(new Event("visibilitychange"));
});
await page.waitForFunction(() => document.querySelector("h1").textContent !== "old");
const focused = await page.evaluate(() => document.activeElement.localName);
await open("/electricity/acts/rollback");
await look("act");
await open("/electricity/versions/3");
await look("version");
await open("/electricity/versions?first=1&second=2");
await look("versions");
await open("/electricity/drop");
await look("drop");
await open("/electricity");
await look("report");
await open("/electricity/decisions?first=1997-06-24&last=1997-06-30");
await look("decisions");
await open("/income/review");
await look("review");
const acts = [["first", await shown()]];
for (const key of ["s", "1", "u", "e"]) {
  await press(key);
  acts.push([key, await shown()]);
}
// A key that is held down sends itself again and again; it decides one item only.
await Promise.all([
  page.waitForNavigation(),
  page.evaluate(() =>
    [false, true, true].forEach((repeat) =>
      document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "2", repeat, bubbles: true })))).catch(() => {}),
]);
acts.push(["held", await shown()]);
// A digit in the note decides nothing.
await page.focus("input[name=note]");
await page.keyboard.press("1");
acts.push(["note", await shown()]);
await page.evaluate(() => document.activeElement.blur());
const began = performance.now();
let answered = 0;
while (await shown()) {
  await press(answered % 2 ? "1" : "2");
  answered += 1;
}
const seconds = (performance.now() - began) / 1000;
await look("end");
await Promise.all([page.waitForNavigation(), page.click("button[value=finish]")]);
await open("/income/review/answers");
await look("answers");
// A version is refused by its form.
await open("/electricity/versions/3");
await page.type("input[name=reason]", "errs on the new wards");
await Promise.all([page.waitForNavigation(), page.click("button[value=refuse]")]);
const refused = await page.evaluate(() => document.querySelector("h1").textContent);
await look("refused");
console.log(JSON.stringify({ acts, refused, address, answered, complaints, cookie, findings, focused, seconds }));
await browser.close();

// Opens the page at the address given in a browser whose every name leads nowhere, and prints what was seen as JSON.
import chromium from "@sparticuz/chromium";
import puppeteer from "puppeteer-core";

const browser = await puppeteer.launch({
  executablePath: await chromium.executablePath(),
  args: [...chromium.args, "--host-resolver-rules=MAP * ~NOTFOUND"],
  headless: "shell",
  timeout: 0,
});
const page = await browser.newPage();
page.setDefaultTimeout(0); // Whoever runs this waits long enough for a machine that is busy.
const asked = [];
const complaints = [];
page.on("request", (request) => request.url() === process.argv[2] || asked.push(request.url()));
page.on("console", (message) => complaints.push(message.text()));
page.on("pageerror", (error) => complaints.push(error.message));
await page.goto(process.argv[2]);
const dom = await page.content();
await page.setViewport({ width: 1280, height: 900 });
const height = await page.evaluate(() => document.documentElement.scrollHeight);
await page.evaluate(() => document.querySelectorAll("details").forEach((fold) => (fold.open = true)));
const crossed = await page.evaluate(() => {
  const chart = document.querySelector(".wide svg")?.getBoundingClientRect();
  const labels = [...document.querySelectorAll(".wide svg :is(.axis, .note)")].map((label) => [
    label.textContent,
    label.getBoundingClientRect(),
  ]);
  const overlap = (one, other) =>
    one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
  return labels
    .filter(([, box], at) =>
      box.left < chart.left || box.right > chart.right || labels.some(([, other], number) => number !== at && overlap(box, other)))
    .map(([text]) => text);
});
await page.setViewport({ width: 390, height: 844 });
const reachesOver = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
const tooWide = await page.evaluate(() =>
  [...document.querySelectorAll(".scroll")]
    .filter((box) => box.scrollWidth > box.clientWidth)
    .map((box) => box.querySelector("table")?.className),
);
console.log(JSON.stringify({ asked, complaints, crossed, dom, height, reachesOver, tooWide }));
await browser.close();

// Takes a picture of a page: node shot.ts <url> <file.png> [width height theme] [-- script]
import { chromium } from 'playwright';

const [url, file, width = '1440', height = '900', script = ''] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
const page = await browser.newPage({ viewport: { width: Number(width), height: Number(height) } });
page.on('console', (message) => console.log(message.type(), message.text()));
page.on('pageerror', (error) => console.log('pageerror', error.stack));
await page.goto(url);
await page.waitForTimeout(1500);
if (script) console.log(await page.evaluate(script));
await page.waitForTimeout(500);
await page.screenshot({ path: file });
await browser.close();

/**
 * `npm run screenshots`: the documentation's pictures. The same launchers and fixtures as the end-to-end tests.
 */
import { defineConfig } from '@playwright/test';
import settings from './playwright.config.ts';

export default defineConfig({ ...settings, testMatch: '*.shots.ts', reporter: 'list' });

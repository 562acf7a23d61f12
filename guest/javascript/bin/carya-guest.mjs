#!/usr/bin/env node
import { main } from '../build/command.mjs';

process.exitCode = await main(process.argv.slice(2));

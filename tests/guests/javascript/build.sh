npm ci --no-audit --no-fund
node build.mjs

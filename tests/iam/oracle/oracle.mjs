// Decides cases (one JSON object a line on stdin, the schema of ../cases) with @cloud-copilot/iam-simulate and prints one
// word a line: Allow, Implicit, Explicit, or "error: ...". Argument: the node_modules folder that has the package.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const require = createRequire(join(process.argv[2], 'oracle.js'))
const { runSimulation } = require('@cloud-copilot/iam-simulate')
const WORDS = { Allowed: 'Allow', ImplicitlyDenied: 'Implicit', ExplicitlyDenied: 'Explicit' }

function named(prefix, policies) {
  return (policies ?? []).map((policy, i) => ({ name: `${prefix}${i}`, policy }))
}

async function decide(one) {
  const answer = await runSimulation(
    {
      request: {
        principal: one.principal,
        action: one.action,
        resource: { resource: one.resource, accountId: one.acct },
        contextVariables: one.ctx,
      },
      identityPolicies: named('identity', one.ident),
      permissionBoundaryPolicies: one.boundary ? named('boundary', [one.boundary]) : undefined,
      serviceControlPolicies: (one.scp ?? []).map((policy, i) => ({
        orgIdentifier: `level${i}`,
        policies: named(`level${i}-`, [policy]),
      })),
      resourceControlPolicies: [],
      resourcePolicy: one.rp ?? undefined,
      sessionPolicy: one.session ?? undefined,
    },
    { simulationMode: 'Strict' },
  )
  return answer.resultType === 'error' ? `error: ${JSON.stringify(answer.errors)}` : WORDS[answer.overallResult]
}

const answers = []
for await (const line of createInterface({ input: process.stdin })) answers.push(await decide(JSON.parse(line)))
process.stdout.write(answers.join('\n') + '\n')

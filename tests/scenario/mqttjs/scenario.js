'use strict'
// The broker as MQTT.js sees it, in both versions. MQTT.js knows no Receive Maximum of the broker's:
// no test publishes more than that (100) at once.

const assert = require('node:assert/strict')
const { afterEach, test } = require('node:test')
const { Client, V311, V5 } = require('./client.js')

let clients = []

/** A client with an identifier and topics of the test's own. */
async function connected (name, options) {
  const client = new Client(name, options)
  clients.push(client)
  await client.connected()
  return client
}

afterEach(async () => {
  await Promise.all(clients.map(client => client.vanish()))
  clients = []
})

const kept = options => ({
  ...options,
  clean: false,
  properties: options === V5 ? { sessionExpiryInterval: 3600 } : undefined
})
const range = count => Array.from({ length: count }, (_, number) => String(number))

/** For an exchange that may be cut off: PUBREL that is repeated after its PUBCOMP got lost is
 * answered with 0x92, which "is not an error during recovery" (MQTT 5.0 3.7.2.1), but one to
 * MQTT.js. */
const finished = answer => answer.catch(error => { if (error.code !== 0x92) throw error })

/** What was heard; with QoS 1 again only what may be there twice: first appearances count. */
const once = (texts, qos) => qos === 2 ? texts : [...new Set(texts)]

for (const version of [V311, V5]) {
  const name = `v${version.protocolVersion}`

  test(`${name}: every QoS`, async () => {
    const publisher = await connected(`${name}-qos-publisher`, version)
    const subscriber = await connected(`${name}-qos-subscriber`, version)
    for (const granted of [0, 1, 2]) {
      const [answer] = await subscriber.subscribe(`${name}/qos/${granted}/+`, { qos: granted })
      assert.equal(answer.qos, granted)
      for (const sent of [0, 1, 2]) {
        subscriber.messages = []
        await publisher.publish(`${name}/qos/${granted}/${sent}`, 'x', { qos: sent })
        await subscriber.heard(1)
        assert.equal(subscriber.messages[0].qos, Math.min(sent, granted))
      }
    }
  })

  test(`${name}: retained messages come with their flag and can be cleared`, async () => {
    const publisher = await connected(`${name}-retained-publisher`, version)
    await publisher.publish(`${name}/kept/a`, 'a', { qos: 1, retain: true })
    await publisher.publish(`${name}/kept/b`, 'b', { qos: 1, retain: true })
    await publisher.publish(`${name}/kept/b`, '', { qos: 1, retain: true })
    const subscriber = await connected(`${name}-retained-subscriber`, version)
    await subscriber.subscribe(`${name}/kept/#`, { qos: 1 })
    await subscriber.heard(1)
    await publisher.publish(`${name}/kept/a`, 'live', { qos: 1, retain: true })
    assert.deepEqual(await subscriber.heard(2), ['a', 'live'])
    assert.deepEqual(subscriber.messages.map(message => message.retain), [true, false])
  })

  test(`${name}: wildcards`, async () => {
    const subscriber = await connected(`${name}-wild-subscriber`, version)
    await subscriber.subscribe([`${name}/wild/+/x/#`, `+/wild/only`], { qos: 1 })
    const publisher = await connected(`${name}-wild-publisher`, version)
    const topics = ['a/x', 'a/y', 'a/x/1/2', '/x', 'a/b/x', 'only', 'a/x/']
    for (const topic of topics) await publisher.publish(`${name}/wild/${topic}`, topic, { qos: 1 })
    await publisher.publish(`$${name}/wild/only`, 'hidden', { qos: 1 })
    await publisher.publish(`${name}/wild/only`, 'end', { qos: 1 })
    assert.deepEqual(await subscriber.heard(6), ['a/x', 'a/x/1/2', '/x', 'only', 'a/x/', 'end'])
  })

  for (const qos of [1, 2]) {
    test(`${name}: a publisher is cut off again and again, QoS ${qos}`, async () => {
      const topic = `${name}/cut/${qos}`
      const subscriber = await connected(`${name}-cut-subscriber-${qos}`, version)
      await subscriber.subscribe(topic, { qos })
      const publisher = await connected(`${name}-cut-publisher-${qos}`, kept(version))
      const answers = []
      const rounds = 20
      for (let round = 0; round < rounds; ++round) {
        // MQTT.js gives up what is published while it repeats what was in flight, if it is cut off
        // meanwhile: "Connection closed". So nothing is published then.
        const ready = publisher.ready
        for (const number of range(10)) {
          answers.push(finished(
            publisher.publish(topic, String(round * 10 + Number(number)), { qos })))
        }
        // Cut off with nothing, something and most of it answered ...
        const answered = round % 4 * 3
        if (answered !== 0) await answers[answers.length - 10 + answered - 1]
        assert.equal((await publisher.cut()).sessionPresent, true)
        // ... and in the middle of the repetition.
        if (round % 3 === 0) assert.equal((await publisher.cut()).sessionPresent, true)
        await publisher.until(() => publisher.ready > ready, 'the end of the repetition')
      }
      await Promise.all(answers)
      await subscriber.until(() => subscriber.texts.includes(String(rounds * 10 - 1)), 'the last')
      assert.deepEqual(once(subscriber.texts, qos), range(rounds * 10))
    })

    test(`${name}: a subscriber is cut off again and again, QoS ${qos}`, async () => {
      const topic = `${name}/deaf/${qos}`
      const subscriber = await connected(`${name}-deaf-subscriber-${qos}`, kept(version))
      await subscriber.subscribe(topic, { qos })
      const publisher = await connected(`${name}-deaf-publisher-${qos}`, version)
      for (let round = 0; round < 20; ++round) {
        const answers = range(10).map(number =>
          publisher.publish(topic, String(round * 10 + Number(number)), { qos }))
        const heard = round * 10 + round % 4 * 3
        await subscriber.until(() => new Set(subscriber.texts).size >= heard, `${heard} messages`)
        assert.equal((await subscriber.cut()).sessionPresent, true)
        await Promise.all(answers)
      }
      await subscriber.until(() => subscriber.texts.includes('199'), 'the last')
      assert.deepEqual(once(subscriber.texts, qos), range(200))
    })
  }

  test(`${name}: what a sleeper missed comes in order`, async () => {
    const options = kept(version)
    const first = await connected(`${name}-sleeper`, options)
    await first.subscribe(`${name}/missed/#`, { qos: 2 })
    await first.end()
    const publisher = await connected(`${name}-waker`, version)
    await publisher.publish(`${name}/missed`, 'not kept', { qos: 0 })
    for (let first = 0; first < 250; first += 50) {
      await Promise.all(range(250).slice(first, first + 50).map(number =>
        publisher.publish(`${name}/missed/${number}`, number, { qos: 1 + number % 2 })))
    }
    const again = await connected(`${name}-sleeper`, options)
    assert.equal(again.packets('connack')[0].sessionPresent, true)
    await again.heard(250)
    for (const parity of [0, 1]) { // MQTT.js hands out QoS 2 later than QoS 1
      const ours = texts => texts.filter(text => text % 2 === parity)
      assert.deepEqual(ours(again.texts), ours(range(250)))
    }
  })

  test(`${name}: a second connection takes over, with what is in flight`, async () => {
    const options = { ...kept(version), reconnectPeriod: 0 }
    const first = await connected(`${name}-twice`, options)
    await first.subscribe(`${name}/twice`, { qos: 1 })
    first.withhold()
    const publisher = await connected(`${name}-twice-publisher`, version)
    await publisher.publish(`${name}/twice`, 'x', { qos: 1 })
    await first.heard(1)
    const second = await connected(`${name}-twice`, options)
    assert.equal(second.packets('connack')[0].sessionPresent, true)
    await second.heard(1)
    assert.deepEqual([second.messages[0].text, second.messages[0].dup], ['x', true])
    await first.until(() => !first.mqtt.connected, 'its end')
  })

  test(`${name}: the will of a client that vanishes, not of one that leaves`, async () => {
    const watcher = await connected(`${name}-watcher`, version)
    await watcher.subscribe(`${name}/will/#`, { qos: 1 })
    const will = who => ({ topic: `${name}/will/${who}`, payload: who, qos: 1, retain: false })
    const polite = await connected(`${name}-polite`, { ...version, will: will('polite') })
    const mortal = await connected(`${name}-mortal`, { ...version, will: will('mortal') })
    await polite.end()
    await mortal.vanish()
    assert.deepEqual(await watcher.heard(1), ['mortal'])
  })

  test(`${name}: a shared subscription hands out every message once`, async () => {
    const members = []
    const all = () => members.flatMap(member => member.texts)
    for (const who of ['a', 'b', 'c']) {
      members.push(await connected(`${name}-member-${who}`, version))
      await members.at(-1).subscribe(`$share/${name}/${name}/work`, { qos: 1 })
    }
    const whole = await connected(`${name}-whole`, version)
    await whole.subscribe(`${name}/work`, { qos: 1 })
    const publisher = await connected(`${name}-work-publisher`, version)
    await Promise.all(range(90).map(number => publisher.publish(`${name}/work`, number, { qos: 1 })))
    assert.deepEqual(await whole.heard(90), range(90))
    await whole.until(() => all().length >= 90, 'all shares')
    assert.deepEqual(all().sort((a, b) => a - b), range(90))
  })
}

test('v5: topic aliases in both directions', async () => {
  const subscriber = await connected('alias-subscriber', {
    ...V5, properties: { topicAliasMaximum: 2 }
  })
  await subscriber.subscribe('alias/#', { qos: 1 })
  const publisher = await connected('alias-publisher', { ...V5, autoAssignTopicAlias: true })
  const topics = ['alias/1', 'alias/2', 'alias/3', 'alias/1', 'alias/2', 'alias/3']
  for (const topic of topics) await publisher.publish(topic, topic, { qos: 1 })
  assert.deepEqual(await subscriber.heard(6), topics)
  assert.deepEqual(subscriber.messages.map(message => message.topic), topics)

  const used = publisher.sent.filter(packet => packet.cmd === 'publish')
  assert.deepEqual(used.map(packet => packet.topic), ['alias/1', 'alias/2', 'alias/3', '', '', ''])
  const aliases = subscriber.messages.map(message => message.properties?.topicAlias)
  assert(aliases.some(alias => alias !== undefined), 'the broker uses no aliases')
  assert(aliases.every(alias => alias === undefined || alias <= 2), `beyond the maximum: ${aliases}`)
})

test('v5: no more in flight than the client\'s Receive Maximum', async () => {
  const subscriber = await connected('window-subscriber', {
    ...V5, properties: { receiveMaximum: 3 }
  })
  subscriber.tap()
  await subscriber.subscribe('window/#', { qos: 1 })
  subscriber.withhold()
  const publisher = await connected('window-publisher', V5)
  await Promise.all(range(20).map(number => publisher.publish('window', number, { qos: 1 })))
  // QoS 0 is not held up by the window: when it is here, all that may be is.
  await publisher.publish('window/end', 'end', { qos: 0 })
  const onTheWire = () => subscriber.wire.filter(packet => packet.cmd === 'publish')
  await subscriber.until(() => onTheWire().some(packet => packet.qos === 0), 'QoS 0')
  assert.equal(onTheWire().filter(packet => packet.qos === 1).length, 3)

  while (subscriber.messages.length < 21 || subscriber.withheld.length !== 0) {
    await subscriber.until(() => subscriber.withheld.length !== 0, 'the next message')
    subscriber.withheld.shift()()
    const acknowledged = subscriber.sent.filter(packet => packet.cmd === 'puback').length
    const unfinished = onTheWire().filter(packet => packet.qos === 1).length - acknowledged
    assert(unfinished <= 3, `${unfinished} in flight`)
  }
  const texts = await subscriber.heard(21)
  assert.deepEqual(texts.filter(text => text !== 'end'), range(20))
})

test('v5: subscription identifiers, user properties, request and response', async () => {
  const server = await connected('rr-server', V5)
  await server.subscribe('rr/request', { qos: 1, properties: { subscriptionIdentifier: 7 } })
  await server.subscribe('rr/#', { qos: 0, properties: { subscriptionIdentifier: 8 } })
  const client = await connected('rr-client', V5)
  await client.subscribe('rr/response', { qos: 1 })
  const correlationData = Buffer.from([0, 255, 1])
  await client.publish('rr/request', 'question', {
    qos: 1,
    properties: {
      responseTopic: 'rr/response', correlationData, userProperties: { a: ['1', '2'], b: '3' }
    }
  })
  await server.heard(1)
  const { properties } = server.messages[0]
  assert.deepEqual([properties.subscriptionIdentifier].flat().sort(), [7, 8])
  assert.deepEqual({ ...properties.userProperties }, { a: ['1', '2'], b: '3' })
  await server.publish(properties.responseTopic, 'answer', {
    qos: 1, properties: { correlationData: properties.correlationData }
  })
  assert.deepEqual(await client.heard(1), ['answer'])
  assert.deepEqual(client.messages[0].properties.correlationData, correlationData)
})

test('v5: a session that is taken over says so', async () => {
  const first = await connected('same', { ...V5, reconnectPeriod: 0 })
  await connected('same', V5)
  await first.until(() => first.packets('disconnect').length > 0, 'DISCONNECT')
  assert.equal(first.packets('disconnect')[0].reasonCode, 0x8E)
})

test('v5: a filter that cannot be granted is refused by itself', async () => {
  const client = await connected('refused', V5)
  const deep = Array(65).fill('a').join('/')
  await assert.rejects(client.subscribe({ fine: { qos: 1 }, [deep]: { qos: 1 } }))
  assert.deepEqual(client.packets('suback')[0].granted, [1, 0x97])
})

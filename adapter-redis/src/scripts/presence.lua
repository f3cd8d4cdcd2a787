-- Adds users to a group on an incarnation, or removes them; all subscribers and listeners are notified of changes.
-- KEYS: hash, users, users on the incarnation. ARGV: operation, life of the hash in ms, channel, publish command, channel of listeners, group,
-- fresh epoch; then 'enter': user, when its metadata were set, metadata (after '1', or '0' alone) ...; 'exit': user ...; 'clear': for how
-- many ms nobody may enter on the incarnation; until then an empty name marks it. A user's value: number of incarnations, when its metadata were set, and
-- its metadata.
local meta, users, incarnation = KEYS[1], KEYS[2], KEYS[3]
local joined, updated, left, n_joined, n_updated, n_left = {}, {}, {}, 0, 0, 0
local function known(user)
    local value = redis.call('HGET', users, user)
    if not value then
        return 0, 0, '0'
    end
    local count, said, metadata = string.match(value, '^(%d+):(%d+):(.*)$')
    return tonumber(count), tonumber(said), metadata
end
local function present(user, said, metadata)
    local begins = struct.pack('>I2', #user) .. user .. struct.pack('>I8', said)
    if string.byte(metadata) == 49 then
        return begins .. '\1' .. struct.pack('>I4', #metadata - 1) .. string.sub(metadata, 2)
    end
    return begins .. '\0'
end
local function enter(user, said, metadata)
    local count, before, shown = known(user)
    local is_new, differs = count == 0, false
    count = count + redis.call('SADD', incarnation, user)
    if is_new or (metadata ~= '0' and said >= before) then
        differs = shown ~= metadata
        before, shown = said, metadata
    end
    if is_new then
        n_joined = n_joined + 1
        joined[n_joined] = present(user, before, shown)
    elseif differs then
        n_updated = n_updated + 1
        updated[n_updated] = present(user, before, shown)
    end
    redis.call('HSET', users, user, text(count) .. ':' .. text(before) .. ':' .. shown)
end
local function exit(user)
    if redis.call('SREM', incarnation, user) == 0 then
        return
    end
    local count, said, metadata = known(user)
    if count > 1 then
        redis.call('HSET', users, user, text(count - 1) .. ':' .. text(said) .. ':' .. metadata)
        return
    end
    redis.call('HDEL', users, user)
    n_left = n_left + 1
    left[n_left] = present(user, said, metadata)
end
if ARGV[1] == 'enter' then
    if redis.call('SISMEMBER', incarnation, '') == 1 then
        return 0
    end
    for i = 8, #ARGV, 3 do
        enter(ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2])
    end
elseif ARGV[1] == 'exit' then
    for i = 8, #ARGV do
        exit(ARGV[i])
    end
else
    local all = redis.call('SMEMBERS', incarnation)
    table.sort(all)
    for _, user in ipairs(all) do
        if user ~= '' then
            exit(user)
        end
    end
    redis.call('SADD', incarnation, '')
    redis.call('PEXPIRE', incarnation, ARGV[8])
end
if n_joined + n_updated + n_left > 0 then
    -- A server that was restarted or promoted may have gone back: its versions would repeat.
    local info = redis.pcall('INFO', 'server')
    local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or ''
    local begun = redis.call('HMGET', meta, 'p', 'r')
    local epoch = begun[1]
    if not epoch or begun[2] ~= run then
        epoch = ARGV[7]
        redis.call('HSET', meta, 'p', epoch, 'v', '0', 'r', run)
    end
    local version = redis.call('HINCRBY', meta, 'v', 1)
    redis.call('PEXPIRE', meta, ARGV[2])
    local payload = '\1\11' .. epoch .. struct.pack('>I8I8I4', version, redis.call('HLEN', users), n_joined) .. table.concat(joined)
        .. struct.pack('>I4', n_updated) .. table.concat(updated) .. struct.pack('>I4', n_left) .. table.concat(left)
    redis.call(ARGV[4], ARGV[3], payload)
    redis.call('PUBLISH', ARGV[5], '\1\6' .. struct.pack('>I2', #ARGV[6]) .. ARGV[6] .. payload)
end
return 1

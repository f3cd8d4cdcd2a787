-- Adds users to a group on an incarnation, or removes them; all subscribers and listeners are notified of changes.
-- KEYS: hash, users, users on the incarnation. ARGV: operation, life of the hash in ms, channel, publish command, channel of listeners, group,
-- fresh epoch; then 'enter': user, when its metadata were set, metadata (after '1', or '0' alone) ...; 'exit': user ...; 'clear': for how
-- many ms nobody may enter on the incarnation; until then an empty name marks it. A user's value: number of incarnations, when its metadata were set, and
-- its metadata.
-- A change that is not published would never be noticed: what was written before a command is refused is undone.
local meta, users, incarnation = KEYS[1], KEYS[2], KEYS[3]
local undo, n_undo = {}, 0
local function write(inverse, ...)
    local result = redis.call(...)
    n_undo = n_undo + 1
    undo[n_undo] = inverse
    return result
end
-- Sets a field of a hash, or removes it; `before` is its value, or false.
local function put(key, field, before, value)
    local inverse = before and {'HSET', key, field, before} or {'HDEL', key, field}
    if value then
        write(inverse, 'HSET', key, field, value)
    else
        write(inverse, 'HDEL', key, field)
    end
end
local joined, updated, left, n_joined, n_updated, n_left = {}, {}, {}, 0, 0, 0
local function known(user)
    local value = redis.call('HGET', users, user)
    if not value then
        return false, 0, 0, '0'
    end
    local count, said, metadata = string.match(value, '^(%d+):(%d+):(.*)$')
    return value, tonumber(count), tonumber(said), metadata
end
local function present(user, said, metadata)
    local begins = struct.pack('>I2', #user) .. user .. struct.pack('>I8', said)
    if string.byte(metadata) == 49 then
        return begins .. '\1' .. struct.pack('>I4', #metadata - 1) .. string.sub(metadata, 2)
    end
    return begins .. '\0'
end
-- Numbers the change, before users are written: to undo that takes the same command.
local epoch, version
local function number()
    if version then
        return
    end
    -- A server that was restarted or promoted may have gone back: its versions would repeat.
    local info = redis.pcall('INFO', 'server')
    local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or ''
    local begun = redis.call('HMGET', meta, 'p', 'r', 'v')
    epoch, version = begun[1], tonumber(begun[3] or 0)
    if not epoch or begun[2] ~= run then
        epoch, version = ARGV[7], 0
        put(meta, 'p', begun[1], epoch)
        put(meta, 'r', begun[2], run)
    end
    version = version + 1
    put(meta, 'v', begun[3], text(version))
end
local function enter(user, said, metadata)
    local value, count, before, shown = known(user)
    local is_new, differs = count == 0, false
    -- A time to come was set before the clock of this server was set back.
    if is_new or (metadata ~= '0' and (said >= before or before > clock() + 1000000)) then
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
    if is_new or differs then
        number()
    end
    if redis.call('SISMEMBER', incarnation, user) == 0 then
        count = count + write({'SREM', incarnation, user}, 'SADD', incarnation, user)
    end
    put(users, user, value, text(count) .. ':' .. text(before) .. ':' .. shown)
end
local function exit(user)
    if redis.call('SISMEMBER', incarnation, user) == 0 then
        return
    end
    -- It needs no memory, and after the first write Redis refuses nothing for want of memory: those who leave are to free it.
    write({'SADD', incarnation, user}, 'SREM', incarnation, user)
    local value, count, said, metadata = known(user)
    if count <= 1 then
        n_left = n_left + 1
        left[n_left] = present(user, said, metadata)
        number()
    end
    put(users, user, value, count > 1 and text(count - 1) .. ':' .. text(said) .. ':' .. metadata)
end
local function change()
    if ARGV[1] == 'enter' then
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
    end
    if not version then
        return
    end
    local payload = '\1\11' .. epoch .. struct.pack('>I8I8I4', version, redis.call('HLEN', users), n_joined) .. table.concat(joined)
        .. struct.pack('>I4', n_updated) .. table.concat(updated) .. struct.pack('>I4', n_left) .. table.concat(left)
    redis.call(ARGV[4], ARGV[3], payload)
    -- It is published: nothing below may fail.
    redis.pcall('PUBLISH', ARGV[5], '\1\6' .. struct.pack('>I2', #ARGV[6]) .. ARGV[6] .. payload)
    redis.pcall('PEXPIRE', meta, ARGV[2])
end
if ARGV[1] == 'enter' and redis.call('SISMEMBER', incarnation, '') == 1 then
    return 0
end
local is_done, failure = pcall(change)
if not is_done then
    for i = n_undo, 1, -1 do
        redis.pcall(unpack(undo[i]))
    end
    -- A text before Redis 7.
    return type(failure) == 'table' and failure or {err = 'ERR ' .. failure}
end
if ARGV[1] == 'clear' then
    redis.call('SADD', incarnation, '')
    redis.call('PEXPIRE', incarnation, ARGV[8])
end
return 1

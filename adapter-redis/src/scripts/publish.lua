-- Numbers messages of a group, keeps them if the group has a history, and sends them to all subscribers.
-- KEYS: hash, stream, [id]. ARGV: fresh epoch, channel, publish command, channel of watchers or '', group, life of the hash in ms, maximum
-- number of kept messages (0: none), maximum number of bytes, life of the stream in ms, how many messages have numbers, messages.
-- An entry of the stream has the number of its last message, and t when, n how many, c bytes kept up to it, m the messages.
local meta, stream, id = KEYS[1], KEYS[2], KEYS[3]
if id then
    local before = redis.call('GET', id)
    if before then
        return {string.sub(before, 1, 8), (struct.unpack('>I8', string.sub(before, 9)))}
    end
end
local known = redis.call('HMGET', meta, 'e', 'o', 't', 'c', 'f', 'x', 'u')
local epoch, top, last = known[1], tonumber(known[2]), tonumber(known[3])
local kept, gone, put_off = tonumber(known[4]), tonumber(known[5]), tonumber(known[6])
local keep, life, count, body = tonumber(ARGV[7]), tonumber(ARGV[6]), tonumber(ARGV[10]), ARGV[11]
local fields = {}
local function set(name, value)
    fields[#fields + 1] = name
    fields[#fields + 1] = value
end
local begins = not epoch
if begins then
    epoch, top, last, kept, gone, put_off = ARGV[1], 0, 0, nil, nil, nil
    set('e', epoch)
end
-- No two messages that watchers receive have the same time.
last = math.max(last, tonumber(known[7] or 0))
local time = clock()
if time <= last then
    time = last + 1
end
if count == 0 and ARGV[4] ~= '' then
    set('u', text(time))
end
local offset = top + count
if count > 0 or begins then
    set('o', text(offset))
    set('t', text(time))
end
local is_kept = keep > 0 and count > 0
if is_kept then
    kept, gone = (kept or 0) + #body, gone or 0
    set('c', text(kept))
    set('f', text(gone))
end
local is_due = not put_off or time - put_off > life * 250
if is_due then
    set('x', text(time))
end
-- What can be refused comes first, and is undone if a later part is: a refused message is neither numbered nor kept nor sent. Redis checks its
-- memory and its state at the first write.
if #fields > 0 then
    redis.call('HSET', meta, unpack(fields))
end
local failure
if id then
    local noted = redis.pcall('SET', id, epoch .. struct.pack('>I8', offset), 'PX', 300000)
    failure = noted.err and noted
end
local payload = '\1\1' .. epoch .. struct.pack('>I8I8', top, time) .. body
if not failure then
    local sent = redis.pcall(ARGV[3], ARGV[2], payload)
    failure = type(sent) == 'table' and sent
end
if failure then
    local before = {e = known[1], o = known[2], t = known[3], c = known[4], f = known[5], x = known[6], u = known[7]}
    for i = 1, #fields, 2 do
        if before[fields[i]] then
            redis.call('HSET', meta, fields[i], before[fields[i]])
        else
            redis.call('HDEL', meta, fields[i])
        end
    end
    if id then
        redis.call('DEL', id)
    end
    return failure
end
-- It is published: nothing below may fail.
if ARGV[4] ~= '' then
    redis.pcall('PUBLISH', ARGV[4], '\1\6' .. struct.pack('>I2', #ARGV[5]) .. ARGV[5] .. payload)
end
if begins then
    redis.pcall('DEL', stream)
end
-- Without messages published from now on, the kept ones would look complete.
local forgets = not is_kept and known[4] and count > 0
if is_kept then
    local added = redis.pcall('XADD', stream, 'MINID', text(math.max(offset - keep + 1, 0)), text(offset) .. '-0',
        't', text(time), 'n', count, 'c', text(kept), 'm', body)
    forgets = type(added) == 'table' and added.err
    if not forgets then
        local octets, known_gone = tonumber(ARGV[8]), gone
        while kept - gone > octets do
            -- The number of messages before the first: it is looked up only when it may matter.
            local first = redis.pcall('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
            if not first then
                break
            end
            local number = tonumber(string.match(first[1], '%d+'))
            gone = first[2][6] - #first[2][8]
            if kept - gone <= octets or number == offset then
                break
            end
            local trimmed = redis.pcall('XTRIM', stream, 'MINID', text(number + 1))
            if type(trimmed) == 'table' then
                break
            end
        end
        if gone ~= known_gone then
            redis.pcall('HSET', meta, 'f', text(gone))
        end
        redis.pcall('PEXPIRE', stream, ARGV[9])
    end
end
if forgets then
    redis.pcall('DEL', stream)
    redis.pcall('HDEL', meta, 'c', 'f')
end
if is_due then
    redis.pcall('PEXPIRE', meta, ARGV[6])
end
return {epoch, top, time}

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
if not epoch then
    epoch, top, last, kept, put_off = ARGV[1], 0, 0, nil, nil
    redis.call('DEL', stream)
    set('e', epoch)
end
if keep == 0 and kept and count > 0 then
    -- Messages published from now on would be missing among the kept ones.
    redis.call('DEL', stream)
    redis.call('HDEL', meta, 'c', 'f')
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
if count > 0 or not known[1] then
    set('o', text(offset))
    set('t', text(time))
end
if keep > 0 and count > 0 then
    kept, gone = (kept or 0) + #body, gone or 0
    redis.call('XADD', stream, 'MINID', text(math.max(offset - keep + 1, 0)), text(offset) .. '-0',
        't', text(time), 'n', count, 'c', text(kept), 'm', body)
    local octets = tonumber(ARGV[8])
    while kept - gone > octets do
        -- The number of messages before the first: it is looked up only when it may matter.
        local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
        local number = tonumber(string.match(first[1], '%d+'))
        gone = first[2][6] - #first[2][8]
        if kept - gone <= octets or number == offset then
            break
        end
        redis.call('XTRIM', stream, 'MINID', text(number + 1))
    end
    set('c', text(kept))
    set('f', text(gone))
    redis.call('PEXPIRE', stream, ARGV[9])
end
local is_due = not put_off or time - put_off > life * 250
if is_due then
    set('x', text(time))
end
if #fields > 0 then
    redis.call('HSET', meta, unpack(fields))
end
if is_due then
    redis.call('PEXPIRE', meta, ARGV[6])
end
if id then
    redis.call('SET', id, epoch .. struct.pack('>I8', offset), 'PX', 300000)
end
local payload = '\1\1' .. epoch .. struct.pack('>I8I8', top, time) .. body
redis.call(ARGV[3], ARGV[2], payload)
if ARGV[4] ~= '' then
    redis.call('PUBLISH', ARGV[4], '\1\6' .. struct.pack('>I2', #ARGV[5]) .. ARGV[5] .. payload)
end
return {epoch, top, time}

-- Numbers messages of a group, keeps those that are to be kept, and sends all to who subscribed.
-- KEYS: hash, stream, [id]. ARGV: fresh epoch, channel, how to publish, channel of watchers or '', group, life of the hash in ms,
-- most messages that are kept (0: none), most octets, life of the stream in ms, message...
local meta, stream, id = KEYS[1], KEYS[2], KEYS[3]
if id then
    local before = redis.call('GET', id)
    if before then
        return {string.sub(before, 1, 8), (struct.unpack('>I8', string.sub(before, 9)))}
    end
end
local known = redis.call('HMGET', meta, 'e', 'o', 't', 'c', 'f', 'x')
local epoch, top, last = known[1], tonumber(known[2]), tonumber(known[3])
local kept, gone, put_off = tonumber(known[4]), tonumber(known[5]), tonumber(known[6])
local keep, octets, life = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[6])
local fields = {}
local function set(name, value)
    fields[#fields + 1] = name
    fields[#fields + 1] = value
end
if not epoch then
    epoch, top, last, kept, put_off = ARGV[1], 0, 0, nil, nil
    redis.call('DEL', stream)
    set('e', epoch)
    set('o', 0)
end
if keep == 0 and kept then
    -- What comes now would be missing among what was kept.
    redis.call('DEL', stream)
    redis.call('HDEL', meta, 'c', 'f')
end
kept, gone = kept or 0, gone or 0
local time = clock()
if time <= last then
    time = last + 1
end
local offset, body = top, {}
for i = 10, #ARGV do
    local message = ARGV[i]
    if string.byte(message) % 2 == 0 then
        offset = offset + 1
        if keep > 0 then
            kept = kept + #message
            redis.call('XADD', stream, 'MAXLEN', keep, text(time) .. '-' .. text(offset), 'm', message, 'c', text(kept))
        end
    end
    body[#body + 1] = struct.pack('>I4', #message)
    body[#body + 1] = message
end
if offset > top or not known[1] then
    set('o', text(offset))
    set('t', text(time))
end
if keep > 0 and offset > top then
    while kept - gone > octets do
        local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
        gone = first and first[2][4] - #first[2][2] or kept
        local length = redis.call('XLEN', stream)
        if kept - gone <= octets or length <= 1 then
            break
        end
        redis.call('XTRIM', stream, 'MAXLEN', length - 1)
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
local payload = '\1\1' .. epoch .. struct.pack('>I8I8', top, time) .. table.concat(body)
redis.call(ARGV[3], ARGV[2], payload)
if ARGV[4] ~= '' then
    redis.call('PUBLISH', ARGV[4], '\1\6' .. struct.pack('>I2', #ARGV[5]) .. ARGV[5] .. payload)
end
return {epoch, top, time}

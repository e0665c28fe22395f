(func $region_10000 (param i32) (result i32)
  (local $slot10 i64) (local $slot33 i64) (local $slot35 i64) (local $slot34 i64) (local $slot36 i64) (local $slot37 i64) (local $slot6 i64) (local $slot7 i64) (local $slot7168 i64) (local $pc i32) (local $fuel i32) (local $address i64) (local $float f64) (local $long i64) (local $index i32)
  block ;; @1
    block ;; @2
      i32.const 0
      i64.load offset=80
      local.set $slot10
      i32.const 0
      i64.load offset=264
      local.set $slot33
      i32.const 0
      i64.load offset=280
      local.set $slot35
      i32.const 0
      i64.load offset=272
      local.set $slot34
      i32.const 0
      i64.load offset=288
      local.set $slot36
      i32.const 0
      i64.load offset=296
      local.set $slot37
      i32.const 0
      i64.load offset=48
      local.set $slot6
      i32.const 0
      i64.load offset=56
      local.set $slot7
      i32.const 0
      i32.load offset=65364
      local.set $fuel
      loop ;; @3
        local.get $fuel
        i32.const 7
        i32.sub
        local.set $fuel
        local.get $slot10
        local.tee $address
        i64.const 32
        i64.shr_u
        i32.wrap_i64
        local.get $address
        i32.wrap_i64
        i32.const 7
        i32.and
        i32.or
        local.get $address
        i32.wrap_i64
        i32.const 12
        i32.shr_u
        i32.load8_u offset=65536
        i32.const 1
        i32.and
        i32.eqz
        i32.or
        if ;; @4
          local.get $fuel
          i32.const 7
          i32.add
          local.set $fuel
          i32.const 65536
          local.set $pc
          br 2 (;@2;)
        end
        local.get $address
        i32.wrap_i64
        i64.load offset=67108864
        local.set $slot33
        local.get $slot33
        f64.reinterpret_i64
        local.get $slot35
        f64.reinterpret_i64
        f64.mul
        local.tee $float
        f64.abs
        f64.const 2.2250738585072014e-308
        f64.gt
        local.get $float
        f64.abs
        f64.const inf
        f64.lt
        i32.and
        i32.const 0
        i32.load offset=65296
        i32.and
        if ;; @4
          local.get $float
          i64.reinterpret_f64
          local.set $slot34
        else
          i32.const 0
          local.get $slot33
          i64.store offset=264
          i32.const 0
          local.get $slot35
          i64.store offset=280
          i32.const 6
          call $step
          if ;; @5
            local.get $fuel
            i32.const 6
            i32.add
            local.set $fuel
            i32.const 65540
            local.set $pc
            br 3 (;@2;)
          end
          i32.const 0
          i64.load offset=272
          local.set $slot34
        end
        local.get $slot36
        f64.reinterpret_i64
        local.get $slot34
        f64.reinterpret_i64
        f64.add
        local.tee $float
        f64.abs
        f64.const 2.2250738585072014e-308
        f64.gt
        local.get $float
        f64.abs
        f64.const inf
        f64.lt
        i32.and
        local.get $float
        f64.const 0
        f64.eq
        i32.or
        i32.const 0
        i32.load offset=65296
        i32.and
        if ;; @4
          local.get $float
          i64.reinterpret_f64
          local.set $slot36
        else
          i32.const 0
          local.get $slot36
          i64.store offset=288
          i32.const 0
          local.get $slot34
          i64.store offset=272
          i32.const 12
          call $step
          if ;; @5
            local.get $fuel
            i32.const 5
            i32.add
            local.set $fuel
            i32.const 65544
            local.set $pc
            br 3 (;@2;)
          end
          i32.const 0
          i64.load offset=288
          local.set $slot36
        end
        local.get $slot36
        f64.reinterpret_i64
        local.get $slot36
        f64.reinterpret_i64
        f64.eq
        local.get $slot37
        f64.reinterpret_i64
        local.get $slot37
        f64.reinterpret_i64
        f64.eq
        i32.and
        if ;; @4
          local.get $slot36
          f64.reinterpret_i64
          local.get $slot37
          f64.reinterpret_i64
          f64.lt
          i64.extend_i32_u
          local.set $slot6
        else
          i32.const 0
          local.get $slot36
          i64.store offset=288
          i32.const 0
          local.get $slot37
          i64.store offset=296
          i32.const 18
          call $step
          if ;; @5
            local.get $fuel
            i32.const 4
            i32.add
            local.set $fuel
            i32.const 65548
            local.set $pc
            br 3 (;@2;)
          end
          i32.const 0
          i64.load offset=48
          local.set $slot6
        end
        local.get $slot10
        i64.const 8
        i64.add
        local.set $slot10
        i32.const 0
        local.get $fuel
        i32.const 7
        i32.add
        i32.store offset=65364
        i32.const 30
        call $step
        drop
        i32.const 0
        i64.load offset=57344
        local.set $slot7168
        local.get $slot7168
        local.set $slot7
        local.get $slot6
        i64.const 0
        i64.ne
        if ;; @4
          local.get $fuel
          i32.const 0
          i32.lt_s
          if ;; @5
            i32.const 65536
            local.set $pc
            br 3 (;@2;)
          end
          br 1 (;@3;)
        else
          local.get $fuel
          i32.const 1
          i32.sub
          local.set $fuel
          i32.const 0
          i64.const -65508
          i64.store offset=65384
          i32.const -1
          local.set $pc
          br 2 (;@2;)
        end
        unreachable
      end
      unreachable
    end
    i32.const 0
    local.get $slot33
    i64.store offset=264
    i32.const 0
    local.get $slot34
    i64.store offset=272
    i32.const 0
    local.get $slot36
    i64.store offset=288
    i32.const 0
    local.get $slot6
    i64.store offset=48
    i32.const 0
    local.get $slot10
    i64.store offset=80
    i32.const 0
    local.get $slot7
    i64.store offset=56
    i32.const 0
    local.get $fuel
    i32.store offset=65364
  end
  local.get $pc)
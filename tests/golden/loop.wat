(func $region_10000 (param i32) (result i32)
  (local $slot10 i64) (local $slot5 i64) (local $slot12 i64) (local $slot6 i64) (local $slot11 i64) (local $slot13 i64) (local $slot14 i64) (local $pc i32) (local $fuel i32) (local $address i64) (local $float f64) (local $long i64) (local $index i32)
  block ;; @1
    block ;; @2
      i32.const 0
      i64.load offset=80
      local.set $slot10
      i32.const 0
      i64.load offset=40
      local.set $slot5
      i32.const 0
      i64.load offset=96
      local.set $slot12
      i32.const 0
      i64.load offset=48
      local.set $slot6
      i32.const 0
      i64.load offset=88
      local.set $slot11
      i32.const 0
      i64.load offset=104
      local.set $slot13
      i32.const 0
      i64.load offset=112
      local.set $slot14
      i32.const 0
      i32.load offset=65364
      local.set $fuel
      loop ;; @3
        local.get $fuel
        i32.const 6
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
          i32.const 6
          i32.add
          local.set $fuel
          i32.const 65536
          local.set $pc
          br 2 (;@2;)
        end
        local.get $address
        i32.wrap_i64
        i64.load offset=67108864
        local.set $slot5
        local.get $slot10
        i64.const 8
        i64.add
        local.set $slot10
        i32.const 0
        local.get $slot5
        i64.store offset=40
        i32.const 0
        local.get $slot12
        i64.store offset=96
        i32.const 12
        call $step
        drop
        i32.const 0
        i64.load offset=48
        local.set $slot6
        local.get $slot11
        local.get $slot6
        i64.add
        local.set $slot11
        local.get $slot13
        i64.const 3
        i64.add
        local.tee $address
        i64.const 32
        i64.shr_u
        i32.wrap_i64
        local.get $address
        i32.wrap_i64
        i32.const 12
        i32.shr_u
        i32.load8_u offset=65536
        i32.const 2
        i32.and
        i32.eqz
        i32.or
        if ;; @4
          local.get $fuel
          i32.const 2
          i32.add
          local.set $fuel
          i32.const 65552
          local.set $pc
          br 2 (;@2;)
        end
        local.get $address
        i32.wrap_i64
        local.get $slot11
        i64.store8 offset=67108864
        local.get $slot10
        local.get $slot14
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
          local.get $fuel
          i32.const 1
          i32.add
          local.set $fuel
          i32.const 65560
          local.set $pc
          br 2 (;@2;)
        end
        unreachable
      end
      unreachable
    end
    i32.const 0
    local.get $slot5
    i64.store offset=40
    i32.const 0
    local.get $slot10
    i64.store offset=80
    i32.const 0
    local.get $slot6
    i64.store offset=48
    i32.const 0
    local.get $slot11
    i64.store offset=88
    i32.const 0
    local.get $fuel
    i32.store offset=65364
  end
  local.get $pc)
(func $region_10000 (param i32) (result i32)
  (local $slot10 i64) (local $slot1 i64) (local $slot11 i64) (local $slot12 i64) (local $pc i32) (local $fuel i32) (local $address i64) (local $float f64) (local $long i64) (local $index i32)
  block ;; @1
    block ;; @2
      i32.const 0
      i64.load offset=80
      local.set $slot10
      i32.const 0
      i64.load offset=8
      local.set $slot1
      i32.const 0
      i64.load offset=88
      local.set $slot11
      i32.const 0
      i64.load offset=96
      local.set $slot12
      i32.const 0
      i32.load offset=65364
      local.set $fuel
      block ;; @3
        local.get $fuel
        i32.const 1
        i32.sub
        local.set $fuel
        local.get $slot10
        i64.const 0
        i64.eq
        if ;; @4
          br 1 (;@3;)
        else
          local.get $fuel
          i32.const 1
          i32.sub
          local.set $fuel
          i64.const 65544
          local.set $slot1
          i32.const 24
          local.set $index
          i32.const 65560
          local.set $pc
          local.get $fuel
          i32.const 0
          i32.lt_s
          i32.const 0
          i32.load offset=65376
          i32.const 524288
          i32.gt_s
          i32.or
          br_if 2 (;@2;)
          i32.const 0
          local.get $slot1
          i64.store offset=8
          i32.const 0
          local.get $slot10
          i64.store offset=80
          i32.const 0
          local.get $slot12
          i64.store offset=96
          i32.const 0
          local.get $fuel
          i32.store offset=65364
          i32.const 0
          i32.const 0
          i32.load offset=65376
          i32.const 184
          i32.add
          i32.store offset=65376
          local.get $pc
          local.get $index
          call_indirect (type 0)
          local.set $pc
          i32.const 0
          i32.const 0
          i32.load offset=65376
          i32.const -184
          i32.add
          i32.store offset=65376
          local.get $pc
          i32.const 65544
          i32.ne
          br_if 3 (;@1;)
          i32.const 0
          i64.load offset=80
          local.set $slot10
          i32.const 0
          i64.load offset=8
          local.set $slot1
          i32.const 0
          i64.load offset=88
          local.set $slot11
          i32.const 0
          i64.load offset=96
          local.set $slot12
          i32.const 0
          i32.load offset=65364
          local.set $fuel
          local.get $fuel
          i32.const 0
          i32.lt_s
          if ;; @5
            i32.const 65544
            local.set $pc
            br 3 (;@2;)
          end
          local.get $fuel
          i32.const 1
          i32.sub
          local.set $fuel
          i64.const 65548
          local.set $slot1
          local.get $slot11
          i64.const -2
          i64.and
          local.tee $address
          i32.wrap_i64
          local.set $pc
          local.get $address
          i64.const 31
          i64.shr_u
          i64.const 0
          i64.ne
          if ;; @5
            i32.const 0
            local.get $address
            i64.store offset=65384
            i32.const -1
            local.set $pc
            br 3 (;@2;)
          end
          local.get $pc
          i32.const 1
          i32.shr_u
          i32.const 4095
          i32.and
          i32.const 3
          i32.shl
          local.tee $index
          i32.load offset=1245184
          local.get $pc
          i32.ne
          br_if 2 (;@2;)
          local.get $index
          i32.load offset=1245188
          local.set $index
          local.get $fuel
          i32.const 0
          i32.lt_s
          i32.const 0
          i32.load offset=65376
          i32.const 524288
          i32.gt_s
          i32.or
          br_if 2 (;@2;)
          i32.const 0
          local.get $slot1
          i64.store offset=8
          i32.const 0
          local.get $slot10
          i64.store offset=80
          i32.const 0
          local.get $slot12
          i64.store offset=96
          i32.const 0
          local.get $fuel
          i32.store offset=65364
          i32.const 0
          i32.const 0
          i32.load offset=65376
          i32.const 184
          i32.add
          i32.store offset=65376
          local.get $pc
          local.get $index
          call_indirect (type 0)
          local.set $pc
          i32.const 0
          i32.const 0
          i32.load offset=65376
          i32.const -184
          i32.add
          i32.store offset=65376
          local.get $pc
          i32.const 65548
          i32.ne
          br_if 3 (;@1;)
          i32.const 0
          i64.load offset=80
          local.set $slot10
          i32.const 0
          i64.load offset=8
          local.set $slot1
          i32.const 0
          i64.load offset=88
          local.set $slot11
          i32.const 0
          i64.load offset=96
          local.set $slot12
          i32.const 0
          i32.load offset=65364
          local.set $fuel
          local.get $fuel
          i32.const 0
          i32.lt_s
          if ;; @5
            i32.const 65548
            local.set $pc
            br 3 (;@2;)
          end
          br 1 (;@3;)
        end
        unreachable
      end
      local.get $fuel
      i32.const 3
      i32.sub
      local.set $fuel
      i32.const 0
      local.get $slot10
      i64.store offset=80
      i32.const 0
      local.get $slot12
      i64.store offset=96
      i32.const 3000
      call $step
      drop
      i32.const 0
      i64.load offset=80
      local.set $slot10
      local.get $slot12
      i64.eqz
      if (result i64) ;; @3
        i64.const -1
      else
        local.get $slot12
        i64.const -1
        i64.eq
        if (result i64) ;; @4
          i64.const 0
          local.get $slot10
          i64.sub
        else
          local.get $slot10
          local.get $slot12
          i64.div_s
        end
      end
      local.set $slot12
      local.get $slot1
      i64.const -2
      i64.and
      local.tee $address
      i32.wrap_i64
      local.set $pc
      local.get $address
      i64.const 31
      i64.shr_u
      i64.const 0
      i64.ne
      if ;; @3
        i32.const 0
        local.get $address
        i64.store offset=65384
        i32.const -1
        local.set $pc
        br 1 (;@2;)
      end
      br 0 (;@2;)
      unreachable
    end
    i32.const 0
    local.get $slot1
    i64.store offset=8
    i32.const 0
    local.get $slot10
    i64.store offset=80
    i32.const 0
    local.get $slot12
    i64.store offset=96
    i32.const 0
    local.get $fuel
    i32.store offset=65364
  end
  local.get $pc)
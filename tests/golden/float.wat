(func $region_10000 (param $pc i32) (param $depth i32) (param $fuel i32) (result i32 i32)
  (local $slot10 i64) (local $slot33 i64) (local $slot34 i64) (local $slot5 i64) (local $slot11 i64) (local $slot6 i64) (local $product32 i32) (local $base0 i32) (local $address i64) (local $float f32) (local $atomic i32) (local $old i64)
  block ;; @1
    block (result i32) ;; @2
      i32.const 0
      i64.load offset=80
      local.set $slot10
      i32.const 0
      i64.load offset=264
      local.set $slot33
      i32.const 0
      i64.load offset=272
      local.set $slot34
      i32.const 0
      i64.load offset=40
      local.set $slot5
      i32.const 0
      i64.load offset=88
      local.set $slot11
      i32.const 0
      i64.load offset=48
      local.set $slot6
      i32.const 0
      i32.const 0
      i32.load offset=65296
      i32.sub
      i32.const -33554433
      i32.and
      local.set $product32
      local.get $fuel
      i32.const 6
      i32.sub
      local.set $fuel
      local.get $slot10
      local.tee $address
      i32.const 0
      i64.load offset=1277968
      i64.sub
      i32.const 0
      i64.load offset=1277976
      i64.ge_u
      if ;; @3
        local.get $address
        i32.const 1277968
        i32.const 8
        i32.const 2
        i32.const 8
        call $reach
        i32.eqz
        if ;; @4
          i32.const -2
          br 2 (;@2;)
        end
      end
      local.get $address
      i32.wrap_i64
      local.set $base0
      local.get $base0
      i64.load32_u offset=67108864
      i64.const -4294967296
      i64.or
      local.set $slot33
      block ;; @3
        block ;; @4
          local.get $slot34
          i64.const 32
          i64.shr_s
          i64.const -1
          i64.ne
          br_if 0 (;@4;)
          local.get $slot33
          i32.wrap_i64
          f32.reinterpret_i32
          f32x4.splat
          local.get $slot33
          i32.wrap_i64
          f32.reinterpret_i32
          f32x4.splat
          local.get $slot34
          i32.wrap_i64
          f32.reinterpret_i32
          f32x4.splat
          f32x4.relaxed_madd
          f32x4.extract_lane 0
          local.tee $float
          i32.reinterpret_f32
          i32.const 1
          i32.shl
          i32.const 16777217
          i32.sub
          local.get $product32
          i32.ge_u
          br_if 0 (;@4;)
          local.get $float
          i32.reinterpret_f32
          i64.extend_i32_u
          i64.const -4294967296
          i64.or
          local.set $slot34
          br 1 (;@3;)
        end
        block ;; @4
          local.get $slot34
          i64.const 32
          i64.shr_s
          i64.const -1
          i64.ne
          br_if 0 (;@4;)
          local.get $slot33
          i32.wrap_i64
          f32.reinterpret_i32
          local.get $slot33
          i32.wrap_i64
          f32.reinterpret_i32
          local.get $slot34
          i32.wrap_i64
          f32.reinterpret_i32
          i32.const 0
          i32.load offset=65296
          call $fused32
          local.tee $float
          local.get $float
          f32.ne
          br_if 0 (;@4;)
          local.get $float
          i32.reinterpret_f32
          i64.extend_i32_u
          i64.const -4294967296
          i64.or
          local.set $slot34
          br 1 (;@3;)
        end
        i32.const 0
        local.get $slot33
        i64.store offset=264
        i32.const 0
        local.get $slot34
        i64.store offset=272
        i32.const 6
        call $step
        if ;; @4
          i32.const -3
          br 2 (;@2;)
        end
        i32.const 0
        i64.load offset=272
        local.set $slot34
        i32.const 0
        i32.const 0
        i32.load offset=65296
        i32.sub
        i32.const -33554433
        i32.and
        local.set $product32
      end
      block ;; @3
        block ;; @4
          local.get $slot34
          i32.wrap_i64
          f32.reinterpret_i32
          f32.trunc
          local.set $float
          i32.const 0
          i32.load offset=65296
          i32.eqz
          if ;; @5
            i32.const 0
            i32.load offset=65288
            br_if 1 (;@4;)
            local.get $float
            local.get $slot34
            i32.wrap_i64
            f32.reinterpret_i32
            f32.eq
            i32.eqz
            br_if 1 (;@4;)
          end
          local.get $float
          f32.const -2147483600
          f32.ge
          local.get $float
          f32.const 2147483600
          f32.lt
          i32.and
          i32.eqz
          br_if 0 (;@4;)
          local.get $float
          i32.trunc_f32_s
          i64.extend_i32_s
          local.set $slot5
          br 1 (;@3;)
        end
        i32.const 0
        local.get $slot34
        i64.store offset=272
        i32.const 12
        call $step
        if ;; @4
          i32.const -4
          br 2 (;@2;)
        end
        i32.const 0
        i64.load offset=40
        local.set $slot5
        i32.const 0
        i32.const 0
        i32.load offset=65296
        i32.sub
        i32.const -33554433
        i32.and
        local.set $product32
      end
      local.get $base0
      local.get $slot34
      i64.store32 offset=67108868
      local.get $slot11
      local.tee $address
      i32.const 0
      i64.load offset=1277968
      i64.sub
      i32.const 0
      i64.load offset=1277976
      i64.ge_u
      if ;; @3
        local.get $address
        i32.const 1277968
        i32.const 4
        i32.const 2
        i32.const 8
        call $reach
        i32.eqz
        if ;; @4
          i32.const -5
          br 2 (;@2;)
        end
      end
      local.get $address
      i32.wrap_i64
      local.set $atomic
      local.get $atomic
      i32.const 3
      i32.and
      if ;; @3
        i32.const -6
        br 1 (;@2;)
      end
      local.get $atomic
      i64.load32_s offset=67108864
      local.set $old
      local.get $atomic
      local.get $old
      local.get $slot5
      i64.extend32_s
      i64.add
      i64.store32 offset=67108864
      local.get $old
      local.set $slot6
      i32.const -7
      br 0 (;@2;)
      unreachable
    end
    local.set $pc
    i32.const 0
    local.get $slot33
    i64.store offset=264
    i32.const 0
    local.get $slot34
    i64.store offset=272
    i32.const 0
    local.get $slot5
    i64.store offset=40
    i32.const 0
    local.get $slot6
    i64.store offset=48
    br 0 (;@1;)
  end
  local.get $pc
  local.get $fuel)
;; exit -2: 10000, 6 not executed: memory
;; exit -3: 10004, 5 not executed: float
;; exit -4: 10008, 4 not executed: float
;; exit -5: 10010, 2 not executed: memory
;; exit -6: 10010, 2 not executed: memory
;; exit -7: 10014, 1 not executed: trap
